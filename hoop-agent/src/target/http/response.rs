//! The head of a response, and what follows its body, as the gateway gets them.

use hoop_proto::tunnel::v1::{HttpField, HttpResponse};
use http::{HeaderMap, StatusCode, header};

/// Fields of one connection ([RFC 9110 §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)), beside those that
/// `Connection` names.
const OF_THE_CONNECTION: [&str; 6] =
    ["connection", "keep-alive", "proxy-connection", "sec-websocket-accept", "transfer-encoding", "upgrade"];

/// The head of a response.
pub(super) fn head(status: StatusCode, headers: &HeaderMap, bodiless: bool) -> HttpResponse {
    HttpResponse { status: status.as_u16().into(), fields: fields(headers), bodiless }
}

/// Fields, without those of the connection.
pub(super) fn fields(headers: &HeaderMap) -> Vec<HttpField> {
    let named: Vec<_> = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok()).collect();
    let of_the_connection = |name: &str| {
        let mut options = named.iter().flat_map(|value| value.split(','));
        OF_THE_CONNECTION.contains(&name) || options.any(|option| option.trim().eq_ignore_ascii_case(name))
    };
    let passed = headers.iter().filter(|(name, _)| !of_the_connection(name.as_str()));
    let field = |(name, value): (&header::HeaderName, &header::HeaderValue)| HttpField {
        name: name.as_str().to_owned(),
        value: value.as_bytes().to_vec().into(),
    };
    passed.map(field).collect()
}
