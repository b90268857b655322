//! The address guard: judges the very address that is about to be connected.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

use super::endpoint::Provenance;

/// Which addresses token requests may go to.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// Lifted by `--egress-allow-cidr`.
    pub allowed: Vec<Cidr>,
    /// Never lifted: where the API server itself listens.
    pub api_server: Vec<SocketAddr>,
}

/// A block of addresses, as `10.0.0.0/8` or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr(IpNet);

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(Self)
            .map_err(|_| format!("{text:?} is not a CIDR block such as 10.20.0.0/16"))
    }
}

/// Well-known metadata services outside link-local: Alibaba Cloud, Oracle Cloud (classic), AWS
/// and GCP on IPv6.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

impl AddressPolicy {
    /// `Err` holds what kind of address it is, in words.
    pub fn judge(&self, address: SocketAddr, provenance: Provenance) -> Result<(), &'static str> {
        let ip = plain(address.ip());
        let is_api_server =
            |own: &SocketAddr| plain(own.ip()) == ip && own.port() == address.port();
        if self.api_server.iter().any(is_api_server) {
            return Err("the API server's own");
        }
        if self.allowed.iter().any(|cidr| cidr.0.contains(&ip)) {
            return Ok(());
        }
        match never(ip).or_else(|| private(ip).filter(|_| provenance == Provenance::Namespaced)) {
            Some(kind) => Err(kind),
            None => Ok(()),
        }
    }
}

/// The address itself, where IPv6 only wraps an IPv4 one (mapped, compatible, NAT64 or 6to4).
fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    if let IpAddr::V4(v4) = v6.to_canonical() {
        return IpAddr::V4(v4);
    }
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        _ => ip,
    }
}

/// Where AWS keeps its services for instances and pods, and the prefix for local-use NAT64
/// (RFC 8215), whose IPv4 address may lie anywhere in it.
fn is_metadata_network(ip: IpAddr) -> bool {
    let IpAddr::V6(ip) = ip else { return false };
    matches!(ip.segments(), [0xfd00, 0xec2, ..] | [0x64, 0xff9b, 1, ..])
}

fn never(ip: IpAddr) -> Option<&'static str> {
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let this_network = matches!(ip, IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.is_broadcast());
    if METADATA.contains(&ip) || is_metadata_network(ip) {
        Some("a metadata service's")
    } else if ip.is_loopback() {
        Some("a loopback")
    } else if link_local {
        Some("a link-local")
    } else if ip.is_unspecified() || this_network {
        Some("an unspecified")
    } else if ip.is_multicast() {
        Some("a multicast")
    } else {
        None
    }
}

fn private(ip: IpAddr) -> Option<&'static str> {
    let private = match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    };
    private.then_some("a private")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn judge(policy: &AddressPolicy, ip: &str, provenance: Provenance) -> Result<(), &'static str> {
        policy.judge(SocketAddr::new(ip.parse().unwrap(), 443), provenance)
    }

    #[rstest]
    #[case("127.0.0.1", "loopback")]
    #[case("127.8.8.8", "loopback")]
    #[case("::1", "loopback")]
    #[case("::ffff:127.0.0.1", "loopback")]
    #[case("64:ff9b::7f00:1", "loopback")]
    #[case("2002:7f00:1::", "loopback")]
    #[case("::127.0.0.1", "loopback")]
    #[case("169.254.169.254", "link-local")]
    #[case("::ffff:a9fe:a9fe", "link-local")]
    #[case("fe80::1", "link-local")]
    #[case("0.0.0.0", "unspecified")]
    #[case("0.1.2.3", "unspecified")]
    #[case("::", "unspecified")]
    #[case("224.0.0.1", "multicast")]
    #[case("ff02::1", "multicast")]
    #[case("100.100.100.200", "metadata")]
    #[case("fd00:ec2::254", "metadata")]
    #[case("fd00:ec2::23", "metadata")]
    #[case("64:ff9b:1::7f00:1", "metadata")]
    fn refused_to_all(#[case] ip: &str, #[case] kind: &str) {
        for provenance in [Provenance::Namespaced, Provenance::Cluster] {
            let verdict = judge(&AddressPolicy::default(), ip, provenance);
            assert!(verdict.is_err_and(|said| said.contains(kind)), "{ip}: {verdict:?}");
        }
    }

    #[rstest]
    #[case("10.0.0.1")]
    #[case("172.31.255.255")]
    #[case("192.168.1.1")]
    #[case("100.64.0.1")]
    #[case("fd12::1")]
    #[case("::ffff:10.0.0.1")]
    fn private_ranges_are_for_cluster_providers_only(#[case] ip: &str) {
        let policy = AddressPolicy::default();
        assert_eq!(judge(&policy, ip, Provenance::Namespaced), Err("a private"));
        assert_eq!(judge(&policy, ip, Provenance::Cluster), Ok(()));
    }

    #[rstest]
    #[case("93.184.216.34")]
    #[case("2606:2800:220:1::1")]
    #[case("172.32.0.1")]
    #[case("100.128.0.1")]
    fn public_addresses_are_free(#[case] ip: &str) {
        assert_eq!(judge(&AddressPolicy::default(), ip, Provenance::Namespaced), Ok(()));
    }

    #[test]
    fn what_is_allowed_is_lifted_but_never_the_api_server() {
        let policy = AddressPolicy {
            allowed: vec!["127.0.0.0/8".parse().unwrap()],
            api_server: vec!["127.0.0.1:6443".parse().unwrap()],
        };
        let judge = |address: &str| policy.judge(address.parse().unwrap(), Provenance::Namespaced);
        assert_eq!(judge("127.0.0.1:443"), Ok(()));
        assert_eq!(judge("[::ffff:127.0.0.1]:443"), Ok(()));
        assert_eq!(judge("127.0.0.1:6443"), Err("the API server's own"));
        assert_eq!(judge("[::ffff:127.0.0.1]:6443"), Err("the API server's own"));
        assert_eq!(judge("[::1]:443"), Err("a loopback"));
    }

    #[test]
    fn a_cidr_that_is_none_is_refused_by_name() {
        assert!("10.0.0.0/33".parse::<Cidr>().unwrap_err().contains("10.0.0.0/33"));
        assert!("10.1.2.3".parse::<Cidr>().is_ok());
    }
}
