//! Where others find the doors.

use std::net::SocketAddr;

use super::{Gateway, Parts};
use crate::api::{Endpoint, Endpoints};
use crate::builder::BuildProblem;
use crate::config::{Config, TlsUse};
use crate::listen::Domain;
use crate::running::Addresses;

impl Gateway {
    /// Where others find the doors: as configured, or at their own addresses.
    pub(super) fn endpoints(&self, addresses: &Addresses) -> Endpoints {
        let Parts { config, public, tls, .. } = &self.parts;
        let endpoint = |public: &Option<(String, u16)>, address: SocketAddr, tls: bool| match public {
            Some((host, port)) => Endpoint { host: host.clone(), port: *port, tls },
            None => Endpoint { host: host_of(address, config), port: address.port(), tls },
        };
        let http = &config.listen.http;
        let own = || endpoint(&None, addresses.http, http.tls).base();
        Endpoints {
            pages: http.public.as_deref().map_or_else(own, |url| url.trim_end_matches('/').to_owned()),
            postgres: endpoint(&public.postgres, addresses.postgres, config.listen.postgres.tls != TlsUse::Off),
            ssh: endpoint(&public.ssh, addresses.ssh, false),
            web: self.web(addresses.proxy),
            proxy: self.proxy_endpoint(addresses.proxy),
            ssh_host_keys: self.parts.ssh_host_keys.public(),
            grpc: endpoint(&public.grpc, addresses.grpc, config.listen.grpc.tls),
            certificate: tls.files.is_none().then(|| tls.certificate.shown().identity.fingerprint()),
        }
    }

    /// The origins of HTTP roles.
    fn web(&self, address: SocketAddr) -> Domain {
        let proxy = &self.parts.config.listen.proxy;
        let scheme = if proxy.tls == TlsUse::Required { "https" } else { "http" };
        let own = || Domain::of(&format!("{scheme}://localhost:{}", address.port()));
        // What is configured was looked at when the gateway was built.
        proxy.public.as_deref().and_then(Domain::of).or_else(own).unwrap_or_default()
    }

    fn proxy_endpoint(&self, address: SocketAddr) -> Endpoint {
        let config = &self.parts.config;
        Endpoint {
            host: host_of(address, config),
            port: address.port(),
            tls: config.listen.proxy.tls == TlsUse::Required,
        }
    }
}

/// The host by which a door is found that listens on this address.
fn host_of(address: SocketAddr, config: &Config) -> String {
    if address.ip().is_unspecified() {
        config.tls.names.first().cloned().unwrap_or_else(|| "localhost".to_owned())
    } else {
        address.ip().to_string()
    }
}

/// What the configuration says of addresses that others are to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicAddress {
    grpc: Option<(String, u16)>,
    postgres: Option<(String, u16)>,
    ssh: Option<(String, u16)>,
}

impl PublicAddress {
    pub(crate) fn of(config: &Config) -> Result<Self, BuildProblem> {
        let read = |setting, value: &Option<String>| match value {
            None => Ok(None),
            Some(value) => host_and_port(value).map(Some).ok_or(BuildProblem::Public { setting, value: value.clone() }),
        };
        if let Some(value) = config.listen.proxy.public.clone().filter(|url| Domain::of(url).is_none()) {
            return Err(BuildProblem::PublicUrl { setting: "listen.proxy.public", value });
        }
        Ok(Self {
            grpc: read("listen.grpc.public", &config.listen.grpc.public)?,
            postgres: read("listen.postgres.public", &config.listen.postgres.public)?,
            ssh: read("listen.ssh.public", &config.listen.ssh.public)?,
        })
    }

    /// The names that a self-signed certificate is for.
    pub(crate) fn names(config: &Config) -> Vec<String> {
        let public = [&config.listen.grpc.public, &config.listen.postgres.public].into_iter().flatten();
        let hosts = public.filter_map(|value| host_and_port(value)).map(|(host, _)| host);
        config.tls.names.iter().cloned().chain(hosts).collect()
    }
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    let fits = !host.is_empty() && (bare.is_some() || !host.contains(':'));
    Some((host.to_owned(), port.parse().ok().filter(|port| *port != 0)?)).filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses() {
        let some = |host: &str, port| Some((host.to_owned(), port));
        for (text, expected) in [
            ("gw.example.com:8010", some("gw.example.com", 8010)),
            ("[2001:db8::1]:443", some("2001:db8::1", 443)),
            ("gw.example.com", None),
            ("gw.example.com:0", None),
            ("gw.example.com:http", None),
            (":8010", None),
            ("2001:db8::1", None),
        ] {
            assert_eq!(host_and_port(text), expected, "{text}");
        }
    }
}
