//! The documents, one file a provider, embedded in the binary.

macro_rules! documents {
    ($($name:literal,)*) => { &[$(($name, include_str!(concat!($name, ".yaml"))),)*] };
}

/// Name and text of each document, by name.
pub(super) const DOCUMENTS: &[(&str, &str)] = documents![
    "mediahound",
    "oauth2",
    "optimizely-cms-saas",
    "optimizely-cms-saas-basic",
    "oracle-content-channel",
    "sitecore-content-hub-one",
];
