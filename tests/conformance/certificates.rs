//! A test authority, and certificates for the server and its clients.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType,
};

/// A certificate and its private key, as PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

/// Whoever signs certificates.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = subject("conformance authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// For a server on loopback.
    pub fn server(&self) -> Identity {
        let mut params = subject("oidc-provider");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let loopback = [std::net::Ipv4Addr::LOCALHOST.into()];
        params.subject_alt_names.extend(loopback.map(SanType::IpAddress));
        self.sign(&params)
    }

    /// For a client of this common name and, as DNS name, `NAME.example`.
    pub fn client(&self, name: &str) -> Identity {
        self.sign(&client(name))
    }

    /// The same for a key that is there already (PKCS#8). The certificate alone.
    pub fn client_with(&self, name: &str, key: &str) -> String {
        let key = KeyPair::from_pem(key).unwrap();
        client(name).signed_by(&key, &self.issuer).unwrap().pem()
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

/// A client's certificate that nobody but itself vouches for.
pub fn self_signed(name: &str) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = client(name).self_signed(&key).unwrap().pem();
    Identity { certificate, key: key.serialize_pem() }
}

fn client(name: &str) -> CertificateParams {
    let mut params = subject(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let dns = format!("{name}.example").try_into().unwrap();
    params.subject_alt_names.push(SanType::DnsName(dns));
    params
}

fn subject(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    // The usual one has a name already.
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "tokenward");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
