//! Host names that certificates carry for ordinary clients, and the `host:port` addresses that members dial.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use comity_types::Invalid;
use rustls_pki_types::ServerName;

/// What an address is, in words.
const ADDRESS: &str =
    "an address \"host:port\", such as broker.example:7443, 192.0.2.7:7443 or [2001:db8::7]:7443, in 255 bytes at most";
/// Longest address, in bytes: its length stands in one byte of an invite. A DNS name with a port has 259 at
/// most, and none that is in use comes near.
pub const MAX_ADDRESS_BYTES: usize = 255;

/// A DNS name or an IP address, for clients that check host names (Python, Node.js).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName(ServerName<'static>);

impl HostName {
    /// The same as rustls has it.
    #[must_use]
    pub const fn server_name(&self) -> &ServerName<'static> {
        &self.0
    }

    /// The IP address, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        if let ServerName::IpAddress(ip) = &self.0 { Some((*ip).into()) } else { None }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_str())
    }
}

impl FromStr for HostName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |_| Invalid::new(text, "a host name such as broker.example, or an IP address");
        ServerName::try_from(text.to_owned()).map(Self).map_err(invalid)
    }
}

/// Where a broker or a node says that it can be reached: `host:port`, IPv6 in brackets, a port other than 0,
/// [`MAX_ADDRESS_BYTES`] at most. Its host can stand in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    text: String,
    host: HostName,
}

impl Address {
    /// The host, without brackets.
    #[must_use]
    pub const fn host(&self) -> &HostName {
        &self.host
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Address {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let host = Some(text).filter(|text| text.len() <= MAX_ADDRESS_BYTES).and_then(host_of);
        let host = host.ok_or_else(|| Invalid::new(text, ADDRESS))?;
        Ok(Self { text: text.to_owned(), host })
    }
}

/// How a broker reaches a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NodeAddress {
    /// It dials the node.
    Dialled(Address),
    /// The node dials the broker: written [`TUNNEL`], which is no address.
    Tunnel,
}

/// What stands in the place of an address for a node that dials the broker.
pub const TUNNEL: &str = "tunnel";

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dialled(address) => address.fmt(f),
            Self::Tunnel => f.pad(TUNNEL),
        }
    }
}

impl FromStr for NodeAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == TUNNEL { Ok(Self::Tunnel) } else { text.parse().map(Self::Dialled) }
    }
}

/// The host, if `address` is `host:port` with a port other than 0; IPv6 stands in brackets, and nothing else does.
fn host_of(address: &str) -> Option<HostName> {
    let (host, port) = address.rsplit_once(':')?;
    let port_is_one = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0);
    let host = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.strip_suffix(']').filter(|ip| ip.contains(':'))?,
        None => Some(host).filter(|host| !host.contains(':'))?,
    };
    host.parse().ok().filter(|_| port_is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, host) in [
            ("broker.example:7443", "broker.example"),
            ("n1_a.org-a.example:1", "n1_a.org-a.example"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:65535", "::1"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.as_str(), address.host().to_string().as_str()), (text, host));
        }
        for text in [
            "",
            "broker.example",
            "broker.example:",
            ":7443",
            "a:0",
            "a:65536",
            "a:+1",
            "::1:7443",
            "[::1]",
            "[a]:1",
            "[1.2.3.4]:1",
            "1.2.3.400:1",
            "a b:1",
            "a..b:1",
            "-a:1",
            "https://a:1",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn a_node_is_dialled_or_dials_and_no_address_is_taken_for_a_tunnel() {
        assert!(TUNNEL.parse::<Address>().is_err());
        assert_eq!(TUNNEL.parse(), Ok(NodeAddress::Tunnel));
        for text in [TUNNEL, "tunnel:1"] {
            assert_eq!(text.parse::<NodeAddress>().unwrap().to_string(), text);
        }
        assert!("Tunnel".parse::<NodeAddress>().is_err());
    }

    #[test]
    fn an_address_fits_in_an_invite() {
        let address = |host_bytes: usize| format!("{}b:12345", "a.".repeat(host_bytes / 2));
        let (fits, too_long) = (address(248), address(250));
        assert_eq!((fits.len(), too_long.len()), (MAX_ADDRESS_BYTES, MAX_ADDRESS_BYTES + 2));
        assert!(fits.parse::<Address>().is_ok() && too_long.parse::<Address>().is_err());
    }
}
