//! The documents, one file a provider, embedded in the binary.

macro_rules! documents {
    ($($name:literal,)*) => { &[$(($name, include_str!(concat!($name, ".yaml"))),)*] };
}

/// Name and text of each document, by name.
pub(super) const DOCUMENTS: &[(&str, &str)] = documents![
    "adobe-ims",
    "amazon-lwa",
    "bol-com",
    "crowdstrike",
    "docusign",
    "ebay",
    "fedex",
    "gocardless",
    "hubspot",
    "marketo",
    "mediahound",
    "netsuite",
    "oauth2",
    "optimizely-cms-saas",
    "optimizely-cms-saas-basic",
    "oracle-content-channel",
    "paypal",
    "quickbooks",
    "sap-fieldglass",
    "servicenow",
    "sitecore-content-hub-one",
    "square",
    "ups",
    "usps",
    "walmart",
    "workday",
    "xero",
    "xero-custom-connection",
    "zoho",
    "zuora",
];
