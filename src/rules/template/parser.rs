//! Parses the tokens of a template into a tree.

use std::collections::{BTreeMap, VecDeque};

use super::functions;
use super::lexer::{Token, tokens};

/// Most actions and parentheses that may be nested.
const MAX_DEPTH: usize = 60;

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The template itself.
    pub nodes: Vec<Node>,
    /// The templates that it defines, by name.
    pub defined: BTreeMap<String, Vec<Node>>,
}

/// A node of the tree.
#[derive(Clone, Debug)]
pub enum Node {
    /// Plain text between actions.
    Text(String),
    /// A pipeline whose result is printed.
    Print(Pipeline),
    /// An `if` with its `else if` branches.
    If { branches: Vec<(Pipeline, Vec<Node>)>, otherwise: Vec<Node> },
    /// A `range` over a list.
    Range { list: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    /// A `with` on a value.
    With { value: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    /// A defined template with its argument.
    Template { name: String, argument: Option<Pipeline> },
}

/// A sequence of commands; each one gets the result of the previous one as its last argument.
#[derive(Clone, Debug, Default)]
pub struct Pipeline {
    /// Variables that the result is assigned to; a `range` may have two.
    pub variables: Vec<String>,
    /// Whether the variables exist already (`=`) instead of being declared (`:=`).
    pub assigns: bool,
    /// Commands in the order of evaluation.
    pub commands: Vec<Command>,
}

/// A function or a value, with arguments.
#[derive(Clone, Debug)]
pub struct Command(pub Vec<Operand>);

/// An operand of a command.
#[derive(Clone, Debug)]
pub enum Operand {
    /// `.`, a variable, or a pipeline in parentheses, with the fields after it.
    Path(Base, Vec<String>),
    /// The name of a function.
    Function(&'static str),
    /// A string such as `"text"`.
    Text(String),
    /// An integer such as `1`.
    Int(i64),
    /// A floating-point number such as `1.5`.
    Float(f64),
    /// The constant `true` or `false`.
    Bool(bool),
    /// The constant `nil`.
    Nil,
}

/// The operand to which field names are applied.
#[derive(Clone, Debug)]
pub enum Base {
    /// The current value `.`.
    Dot,
    /// A variable such as `$name`.
    Variable(String),
    /// A pipeline in parentheses.
    Pipeline(Box<Pipeline>),
}

/// Parses a template.
pub fn parse(text: &str) -> Result<Parsed, String> {
    let known = ["", "labels", "externalLabels", "externalURL", "value"].map(str::to_owned);
    let mut parser = Parser {
        tokens: tokens(text)?.into(),
        known: known.to_vec(),
        depth: 0,
        defined: BTreeMap::new(),
    };
    let (nodes, end) = parser.block()?;
    match end {
        BlockEnd::Text => Ok(Parsed { nodes, defined: parser.defined }),
        BlockEnd::End => Err("unexpected {{end}}".to_owned()),
        BlockEnd::Else => Err("unexpected {{else}}".to_owned()),
    }
}

/// The end of a block; its keyword was consumed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockEnd {
    Text,
    End,
    Else,
}

struct Parser {
    tokens: VecDeque<Token>,
    /// Names of the variables in scope.
    known: Vec<String>,
    depth: usize,
    defined: BTreeMap<String, Vec<Node>>,
}

impl Parser {
    fn block(&mut self) -> Result<(Vec<Node>, BlockEnd), String> {
        self.enter()?;
        let mut nodes = Vec::new();
        let end = loop {
            let Some(token) = self.tokens.front() else { break BlockEnd::Text };
            match token {
                Token::Text(_) => {
                    if let Some(Token::Text(text)) = self.tokens.pop_front() {
                        nodes.push(Node::Text(text));
                    }
                }
                Token::Word(word) => match word.as_str() {
                    "end" => {
                        self.tokens.pop_front();
                        self.end_of_action()?;
                        break BlockEnd::End;
                    }
                    "else" => {
                        self.tokens.pop_front();
                        break BlockEnd::Else;
                    }
                    "if" => nodes.push(self.conditional()?),
                    "range" | "with" => nodes.push(self.scoped()?),
                    // Depth 1 is the template itself.
                    "define" if self.depth == 1 => {
                        self.tokens.pop_front();
                        let name = self.name()?;
                        self.end_of_action()?;
                        self.definition(name)?;
                    }
                    "define" => return Err("unexpected {{define}}".to_owned()),
                    "template" => nodes.push(self.template()?),
                    "block" => {
                        let node = self.template()?;
                        if let Node::Template { name, .. } = &node {
                            self.definition(name.clone())?;
                        }
                        nodes.push(node);
                    }
                    "break" | "continue" => {
                        return Err(format!("{{{{{word}}}}} is not supported"));
                    }
                    _ => nodes.push(self.print()?),
                },
                _ => nodes.push(self.print()?),
            }
        };
        self.depth -= 1;
        Ok((nodes, end))
    }

    /// Parses the body of a defined template, which sees no variables but `$`.
    fn definition(&mut self, name: String) -> Result<(), String> {
        let known = std::mem::replace(&mut self.known, vec![String::new()]);
        let (nodes, end) = self.block()?;
        self.known = known;
        if end != BlockEnd::End {
            return Err(format!("an {{{{end}}}} is missing after the template {name:?}"));
        }
        self.defined.insert(name, nodes);
        Ok(())
    }

    /// Parses the name and the argument of a call of a template.
    fn template(&mut self) -> Result<Node, String> {
        self.tokens.pop_front();
        let name = self.name()?;
        let has_argument = self.tokens.front() != Some(&Token::End);
        let argument = if has_argument { Some(self.pipeline()?) } else { None };
        self.end_of_action()?;
        Ok(Node::Template { name, argument })
    }

    fn name(&mut self) -> Result<String, String> {
        match self.tokens.pop_front() {
            Some(Token::String(name)) => Ok(name),
            other => Err(format!("unexpected {} as a template's name", described(other.as_ref()))),
        }
    }

    fn enter(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err("nested too deeply".to_owned()) } else { Ok(()) }
    }

    fn print(&mut self) -> Result<Node, String> {
        let pipeline = self.pipeline()?;
        self.end_of_action()?;
        Ok(Node::Print(pipeline))
    }

    fn conditional(&mut self) -> Result<Node, String> {
        let scope = self.known.len();
        let mut branches = Vec::new();
        loop {
            self.tokens.pop_front();
            let condition = self.pipeline()?;
            self.end_of_action()?;
            let (body, end) = self.block()?;
            branches.push((condition, body));
            let again = end == BlockEnd::Else
                && matches!(self.tokens.front(), Some(Token::Word(word)) if word == "if");
            if !again {
                let otherwise = self.otherwise(end)?;
                self.known.truncate(scope);
                return Ok(Node::If { branches, otherwise });
            }
        }
    }

    fn scoped(&mut self) -> Result<Node, String> {
        let scope = self.known.len();
        let is_range = self.tokens.pop_front() == Some(Token::Word("range".to_owned()));
        let value = self.pipeline()?;
        if value.variables.len() > 1 && !is_range {
            return Err("too many declarations in `with`".to_owned());
        }
        self.end_of_action()?;
        let (body, end) = self.block()?;
        let otherwise = self.otherwise(end)?;
        self.known.truncate(scope);
        Ok(if is_range {
            Node::Range { list: value, body, otherwise }
        } else {
            Node::With { value, body, otherwise }
        })
    }

    fn otherwise(&mut self, end: BlockEnd) -> Result<Vec<Node>, String> {
        match end {
            BlockEnd::End => Ok(Vec::new()),
            BlockEnd::Text => Err("unexpected EOF: an {{end}} is missing".to_owned()),
            BlockEnd::Else => {
                self.end_of_action()?;
                match self.block()? {
                    (nodes, BlockEnd::End) => Ok(nodes),
                    (_, BlockEnd::Text) => Err("unexpected EOF: an {{end}} is missing".to_owned()),
                    (_, BlockEnd::Else) => Err("expected end; found {{else}}".to_owned()),
                }
            }
        }
    }

    fn end_of_action(&mut self) -> Result<(), String> {
        match self.tokens.pop_front() {
            Some(Token::End) => Ok(()),
            other => Err(format!("unexpected {} in an action", described(other.as_ref()))),
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, String> {
        self.enter()?;
        let mut pipeline = self.declarations()?;
        loop {
            let command = self.command()?;
            if command.0.is_empty() {
                return Err("missing value for command".to_owned());
            }
            pipeline.commands.push(command);
            if self.tokens.front() != Some(&Token::Pipe) {
                break;
            }
            self.tokens.pop_front();
        }
        if !pipeline.assigns {
            self.known.extend(pipeline.variables.iter().cloned());
        }
        self.depth -= 1;
        Ok(pipeline)
    }

    fn declarations(&mut self) -> Result<Pipeline, String> {
        let variable = |token: Option<&Token>| match token {
            Some(Token::Variable(name)) => Some(name.clone()),
            _ => None,
        };
        let Some(first) = variable(self.tokens.front()) else { return Ok(Pipeline::default()) };
        let second = match (self.tokens.get(1), variable(self.tokens.get(2))) {
            (Some(Token::Comma), Some(second)) => Some(second),
            _ => None,
        };
        let length = if second.is_some() { 3 } else { 1 };
        let assigns = match self.tokens.get(length) {
            Some(Token::Declare) => false,
            Some(Token::Assign) => true,
            _ => return Ok(Pipeline::default()),
        };
        self.tokens.drain(..=length);
        let variables: Vec<String> = std::iter::once(first).chain(second).collect();
        if let Some(unknown) = variables.iter().find(|name| assigns && !self.known.contains(name)) {
            return Err(format!("undefined variable \"${unknown}\""));
        }
        Ok(Pipeline { variables, assigns, commands: Vec::new() })
    }

    fn command(&mut self) -> Result<Command, String> {
        let mut operands = Vec::new();
        while !matches!(
            self.tokens.front(),
            None | Some(Token::Pipe | Token::End | Token::Close | Token::Text(_))
        ) {
            operands.push(self.operand()?);
        }
        Ok(Command(operands))
    }

    fn operand(&mut self) -> Result<Operand, String> {
        let base = match self.tokens.pop_front() {
            Some(Token::String(text)) => return Ok(Operand::Text(text)),
            Some(Token::Int(value)) => return Ok(Operand::Int(value)),
            Some(Token::Float(value)) => return Ok(Operand::Float(value)),
            Some(Token::Word(word)) => return named(&word),
            Some(Token::Dot) => return Ok(Operand::Path(Base::Dot, Vec::new())),
            Some(Token::Field { name, attached: false }) => {
                let mut fields = vec![name];
                fields.extend(self.fields());
                return Ok(Operand::Path(Base::Dot, fields));
            }
            Some(Token::Variable(name)) => {
                if !self.known.contains(&name) {
                    return Err(format!("undefined variable \"${name}\""));
                }
                Base::Variable(name)
            }
            Some(Token::Open) => {
                let inner = self.pipeline()?;
                if self.tokens.pop_front() != Some(Token::Close) {
                    return Err("unclosed left paren".to_owned());
                }
                Base::Pipeline(Box::new(inner))
            }
            other => return Err(format!("unexpected {} in operand", described(other.as_ref()))),
        };
        Ok(Operand::Path(base, self.fields()))
    }

    fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while let Some(Token::Field { name, attached: true }) = self.tokens.front() {
            fields.push(name.clone());
            self.tokens.pop_front();
        }
        fields
    }
}

fn named(word: &str) -> Result<Operand, String> {
    match word {
        "true" => Ok(Operand::Bool(true)),
        "false" => Ok(Operand::Bool(false)),
        "nil" => Ok(Operand::Nil),
        name => functions::named(name).map(Operand::Function),
    }
}

fn described(token: Option<&Token>) -> String {
    match token {
        None | Some(Token::End | Token::Text(_)) => "the end".to_owned(),
        Some(Token::Word(word)) => format!("{word:?}"),
        Some(Token::Variable(name)) => format!("\"${name}\""),
        Some(Token::Field { name, .. }) => format!("\".{name}\""),
        Some(Token::String(text)) => format!("{text:?}"),
        Some(Token::Dot) => "\".\"".to_owned(),
        Some(Token::Int(_) | Token::Float(_)) => "a number".to_owned(),
        Some(Token::Pipe) => "\"|\"".to_owned(),
        Some(Token::Declare) => "\":=\"".to_owned(),
        Some(Token::Assign) => "\"=\"".to_owned(),
        Some(Token::Comma) => "\",\"".to_owned(),
        Some(Token::Open) => "\"(\"".to_owned(),
        Some(Token::Close) => "\")\"".to_owned(),
    }
}
