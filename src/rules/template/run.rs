//! Expands a parsed template.

use super::TemplateData;
use super::functions;
use super::parser::{Base, Command, Node, Operand, Parsed, Pipeline};
use super::value::Value;

/// Most bytes of an expanded text.
const MAX_BYTES: usize = 1 << 20;
/// Most nodes that are visited, which bounds nested loops.
const MAX_STEPS: usize = 1 << 16;

/// Most templates that may call one another.
const MAX_CALLS: usize = 60;

/// Expands a template to a text.
pub fn expand(parsed: &Parsed, data: &TemplateData<'_>) -> Result<String, String> {
    let variables = vec![
        (String::new(), Value::Nil),
        ("labels".to_owned(), Value::labels(data.labels)),
        (
            "externalLabels".to_owned(),
            Value::Labels(data.external.labels.iter().cloned().collect()),
        ),
        ("externalURL".to_owned(), Value::Text(data.external.url.to_owned())),
        ("value".to_owned(), Value::Float(data.value)),
    ];
    let fields = ["Labels", "ExternalLabels", "ExternalURL", "Value"].map(str::to_owned);
    let dot = Value::Fields(
        fields.into_iter().zip(variables.iter().skip(1).map(|(_, value)| value.clone())).collect(),
    );
    let mut run = Run { parsed, data, variables, out: String::new(), steps: 0, calls: 0 };
    run.variables[0].1 = dot.clone();
    run.nodes(&parsed.nodes, &dot)?;
    Ok(run.out)
}

struct Run<'a> {
    parsed: &'a Parsed,
    data: &'a TemplateData<'a>,
    variables: Vec<(String, Value)>,
    out: String,
    steps: usize,
    /// Templates that are being expanded inside one another.
    calls: usize,
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), String> {
        for node in nodes {
            self.steps += 1;
            if self.steps > MAX_STEPS || self.out.len() > MAX_BYTES {
                return Err("the text becomes too long".to_owned());
            }
            let scope = self.variables.len();
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Print(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if pipeline.variables.is_empty() {
                        self.out.push_str(&value.printed());
                    }
                    continue;
                }
                Node::If { branches, otherwise } => self.branch(branches, otherwise, dot)?,
                Node::With { value, body, otherwise } => {
                    let value = self.pipeline(value, dot)?;
                    if value.is_true() {
                        self.nodes(body, &value)?;
                    } else {
                        self.nodes(otherwise, dot)?;
                    }
                }
                Node::Range { list, body, otherwise } => self.range(list, body, otherwise, dot)?,
                Node::Template { name, argument } => self.template(name, argument.as_ref(), dot)?,
            }
            self.variables.truncate(scope);
        }
        Ok(())
    }

    fn template(
        &mut self,
        name: &str,
        argument: Option<&Pipeline>,
        dot: &Value,
    ) -> Result<(), String> {
        let parsed = self.parsed;
        let nodes = parsed.defined.get(name);
        let nodes = nodes.ok_or_else(|| format!("template {name:?} not defined"))?;
        let argument = argument.map_or(Ok(Value::Nil), |argument| self.pipeline(argument, dot))?;
        self.calls += 1;
        if self.calls > MAX_CALLS {
            return Err("templates call one another too deeply".to_owned());
        }
        let inside = vec![(String::new(), argument.clone())];
        let outside = std::mem::replace(&mut self.variables, inside);
        self.nodes(nodes, &argument)?;
        self.variables = outside;
        self.calls -= 1;
        Ok(())
    }

    fn branch(
        &mut self,
        branches: &[(Pipeline, Vec<Node>)],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), String> {
        for (condition, body) in branches {
            if self.pipeline(condition, dot)?.is_true() {
                return self.nodes(body, dot);
            }
        }
        self.nodes(otherwise, dot)
    }

    fn range(
        &mut self,
        list: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), String> {
        let scope = self.variables.len();
        let items: Vec<(Value, Value)> = match self.commands(list, dot)? {
            Value::List(items) => (0..).map(Value::Int).zip(items).collect(),
            Value::Labels(labels) => labels
                .into_iter()
                .map(|(name, value)| (Value::Text(name), Value::Text(value)))
                .collect(),
            Value::Fields(fields) => {
                fields.into_iter().map(|(name, value)| (Value::Text(name), value)).collect()
            }
            Value::Nil => Vec::new(),
            other => return Err(format!("range can't iterate over {}", other.kind())),
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (key, item) in items {
            self.variables.truncate(scope);
            match list.variables.as_slice() {
                [] => {}
                [one] => self.set(one, item.clone(), list.assigns)?,
                [first, second, ..] => {
                    self.set(first, key, list.assigns)?;
                    self.set(second, item.clone(), list.assigns)?;
                }
            }
            self.nodes(body, &item)?;
        }
        self.variables.truncate(scope);
        Ok(())
    }

    fn set(&mut self, name: &str, value: Value, assigns: bool) -> Result<(), String> {
        if !assigns {
            self.variables.push((name.to_owned(), value));
            return Ok(());
        }
        let held = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        held.ok_or_else(|| format!("undefined variable \"${name}\""))?.1 = value;
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let value = self.commands(pipeline, dot)?;
        if let Some(name) = pipeline.variables.first() {
            self.set(name, value.clone(), pipeline.assigns)?;
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, last, dot)?);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    fn command(
        &mut self,
        Command(operands): &Command,
        last: Option<Value>,
        dot: &Value,
    ) -> Result<Value, String> {
        let (first, rest) = operands.split_first().ok_or("missing value for command")?;
        let Operand::Function(name) = first else {
            if last.is_some() || !rest.is_empty() {
                return Err("can't give argument to non-function".to_owned());
            }
            return self.operand(first, dot);
        };
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            let value = self.operand(operand, dot)?;
            // `and` and `or` stop at the first operand that decides the result.
            let decided = match *name {
                "and" => !value.is_true(),
                "or" => value.is_true(),
                _ => false,
            };
            if decided {
                return Ok(value);
            }
            arguments.push(value);
        }
        arguments.extend(last);
        functions::call(name, arguments, self.data).map_err(|why| format!("{name}: {why}"))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        match operand {
            Operand::Text(text) => Ok(Value::Text(text.clone())),
            Operand::Int(value) => Ok(Value::Int(*value)),
            Operand::Float(value) => Ok(Value::Float(*value)),
            Operand::Bool(value) => Ok(Value::Bool(*value)),
            Operand::Nil => Ok(Value::Nil),
            Operand::Function(name) => {
                functions::call(name, Vec::new(), self.data).map_err(|why| format!("{name}: {why}"))
            }
            Operand::Path(base, fields) => {
                let mut value = match base {
                    Base::Dot => dot.clone(),
                    Base::Variable(name) => {
                        let held = self.variables.iter().rev().find(|(known, _)| known == name);
                        held.ok_or_else(|| format!("undefined variable \"${name}\""))?.1.clone()
                    }
                    Base::Pipeline(pipeline) => self.pipeline(pipeline, dot)?,
                };
                for field in fields {
                    value = value.field(field)?;
                }
                Ok(value)
            }
        }
    }
}
