//! The one way by which text gets into the page.

use maud::PreEscaped;

use crate::model::escape;

/// Text from outside as it may stand in an element or in a quoted attribute: nothing in it is markup, and
/// what is obeyed or invisible is shown as an escape.
pub(super) fn text(text: impl AsRef<str>) -> PreEscaped<String> {
    let mut out = String::new();
    for c in escape(text.as_ref()).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    PreEscaped(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_markup_and_nothing_is_invisible() {
        let hostile = "</script><img src=x onerror='alert(1)'>\u{202e}&\"";
        assert_eq!(
            text(hostile).0,
            "&lt;/script&gt;&lt;img src=x onerror=&#39;alert(1)&#39;&gt;\\u{202e}&amp;&quot;"
        );
    }
}
