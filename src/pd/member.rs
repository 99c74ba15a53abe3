//! A PD member by its name and the URL under which it is reached.

use url::Url;

/// One PD member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Its name; host and port of its URL where that is not known.
    pub name: String,
    /// Its client URL without credentials and without a slash at its end.
    pub url: String,
}

impl Member {
    /// A member known by its URL alone; without a scheme, `http`. `None` where the text is not
    /// an HTTP URL.
    ///
    /// # Examples
    ///
    /// ```
    /// use operator::pd::Member;
    /// let member = Member::of_url("https://root:secret@pd0:2379/").expect("an url");
    /// assert_eq!((member.name.as_str(), member.url.as_str()), ("pd0:2379", "https://pd0:2379"));
    /// assert_eq!(Member::of_url("pd0:2379").map(|pd| pd.url).as_deref(), Some("http://pd0:2379"));
    /// assert_eq!(Member::of_url("unix://socket"), None);
    /// ```
    pub fn of_url(text: &str) -> Option<Self> {
        let text = text.trim();
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("http://{text}"))
        };
        let url = url.ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let host = url.host_str()?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = url.path().trim_end_matches('/');
        Some(Self {
            name: format!("{host}:{}", url.port_or_known_default()?),
            url: format!("{}://{host}{port}{path}", url.scheme()),
        })
    }

    /// The same member under the scheme of `other`: PD's members advertise `http` even where
    /// something in front of them speaks TLS.
    pub fn with_scheme_of(self, other: &Member) -> Self {
        match (self.url.split_once("://"), other.url.split_once("://")) {
            (Some((_, rest)), Some((scheme, _))) => {
                Self { url: format!("{scheme}://{rest}"), ..self }
            }
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_take_the_scheme_of_the_seed() {
        let member = Member { name: "pd0".to_owned(), url: "http://h:2379".to_owned() };
        let seed = Member::of_url("https://proxy").expect("an url");
        assert_eq!(seed.name, "proxy:443");
        assert_eq!(member.with_scheme_of(&seed).url, "https://h:2379");
    }
}
