//! Host names that certificates carry for ordinary clients, and `host:port` addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use comity_types::Invalid;
use rustls_pki_types::ServerName;

/// What an address is, in words.
const ADDRESS: &str = "an address such as broker.example:7443, 192.0.2.7:7443 or [2001:db8::7]:7443";

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

    /// The host of a `host:port` address.
    ///
    /// # Errors
    /// It is no such address.
    pub fn of_address(address: &str) -> Result<Self, Invalid> {
        split(address).ok_or_else(|| Invalid::new(address, ADDRESS))
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

/// The host, if `address` is `host:port` with a port other than 0; IPv6 stands in brackets.
fn split(address: &str) -> Option<HostName> {
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
        for (address, host) in
            [("broker.example:7443", "broker.example"), ("127.0.0.1:1", "127.0.0.1"), ("[::1]:65535", "::1")]
        {
            assert_eq!(HostName::of_address(address).unwrap().to_string(), host);
        }
        for address in [
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
            "a b:1",
            "https://a:1",
        ] {
            assert!(HostName::of_address(address).is_err(), "{address} was accepted");
        }
    }
}
