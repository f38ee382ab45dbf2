//! The opening handshake of a WebSocket, as a client makes it ([RFC 6455 §4.1]). Nothing is negotiated that the gateway does not
//! know of: no extension is offered.
//!
//! [RFC 6455 §4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.1

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};

use super::body::RequestBody;
use super::failure::{impossible, lost};
use crate::error::TargetFailure;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What the answer has to fit.
pub(super) struct Handshake {
    accept: String,
    /// Subprotocols that the client speaks.
    offered: Vec<String>,
}

impl Handshake {
    /// Makes a request one for a WebSocket.
    pub(super) fn prepare(request: &mut Request<RequestBody>) -> Result<Self, TargetFailure> {
        if request.method() != Method::GET {
            return Err(impossible("a WebSocket is asked for with GET"));
        }
        let uri = request.uri().clone();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(|_| impossible("the path that is asked for is none"))?;
        let key = BASE64_STANDARD.encode(rand::random::<[u8; 16]>());
        let headers = request.headers_mut();
        headers.insert(HOST, host(&uri)?);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&key).expect("base64 is ASCII"));
        headers.remove(SEC_WEBSOCKET_EXTENSIONS);
        headers.remove(SEC_WEBSOCKET_ACCEPT);
        let offered = listed(headers, &SEC_WEBSOCKET_PROTOCOL);
        Ok(Self { accept: accept(&key), offered })
    }

    /// Whether the target agrees to what was asked for, where it says 101.
    pub(super) fn verify<B>(&self, response: &Response<B>) -> Result<(), TargetFailure> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        let headers = response.headers();
        let says = |name: &HeaderName, token: &str| {
            listed(headers, name).iter().any(|listed| listed.eq_ignore_ascii_case(token))
        };
        let accepts = headers.get(SEC_WEBSOCKET_ACCEPT).is_some_and(|value| value == self.accept.as_str());
        if !says(&UPGRADE, "websocket") || !says(&CONNECTION, "upgrade") || !accepts {
            return Err(lost("it answers 101, and not to this WebSocket"));
        }
        let chosen = listed(headers, &SEC_WEBSOCKET_PROTOCOL);
        if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS)
            || chosen.len() > 1
            || chosen.iter().any(|chosen| !self.offered.contains(chosen))
        {
            return Err(lost("it chooses for the WebSocket what was not offered"));
        }
        Ok(())
    }
}

fn host(uri: &Uri) -> Result<HeaderValue, TargetFailure> {
    let authority = uri.authority().ok_or_else(|| impossible("the host that is asked for is none"))?;
    HeaderValue::from_str(authority.as_str()).map_err(|_| impossible("the host that is asked for is none"))
}

fn listed(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|token| token.trim().to_owned()).collect()
}

fn accept(key: &str) -> String {
    let hashed = [key.as_bytes(), GUID].concat();
    BASE64_STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &hashed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_specification_is_accepted_as_it_says() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
