//! A request that has been read to its end.

use hyper::body::Bytes;
use hyper::header::AsHeaderName;
use hyper::{HeaderMap, Method};

#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Incoming {
    /// The value of a header that may be there once; twice is an error, for who knows which one
    /// counts?
    pub(crate) fn single(
        &self,
        name: impl AsHeaderName + std::fmt::Display,
    ) -> Result<Option<&str>, String> {
        let label = name.to_string();
        let mut values = self.headers.get_all(name).iter();
        let first = values.next();
        if values.next().is_some() {
            return Err(format!("the header {label} is there twice"));
        }
        first
            .map(|value| {
                value.to_str().map_err(|_| format!("the header {label} is not ASCII text"))
            })
            .transpose()
    }

    /// Headers as pairs, names in lower case (HTTP says that case means nothing, and hyper drops
    /// it).
    pub(crate) fn header_pairs(&self) -> Vec<(String, String)> {
        self.headers
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect()
    }
}
