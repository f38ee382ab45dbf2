//! The head of a request, as a target gets it.

use hoop_core::Code;
use hoop_proto::tunnel::v1::{HttpField, HttpRequest};
use http::header::{self, HeaderName};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};

use super::cookie;
use super::failure::impossible;
use crate::error::TargetFailure;

/// Fields of one connection, which the agent says itself, and those that would say another host.
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Makes the head that goes to the target.
pub(super) fn head(asked: HttpRequest, scheme: &Scheme) -> Result<Request<()>, TargetFailure> {
    let method = Method::from_bytes(asked.method.as_bytes()).map_err(|_| impossible("the method is none"))?;
    if method == Method::CONNECT {
        return Err(TargetFailure::new(Code::Unsupported, "CONNECT cannot be asked of a target"));
    }
    let uri = uri(&asked.path, &asked.authority, scheme, &method)?;
    let mut headers = fields(asked.fields)?;
    cookie::join(&mut headers);
    let length = content_length(&headers)?;
    if asked.bodiless || asked.websocket {
        // A length without the bytes would make the target take the next request for them.
        headers.remove(header::CONTENT_LENGTH);
        if matches!(method, Method::POST | Method::PUT | Method::PATCH) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    } else if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if asked.grpc {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let mut head = Request::new(());
    (*head.method_mut(), *head.uri_mut(), *head.headers_mut()) = (method, uri, headers);
    Ok(head)
}

fn uri(path: &str, authority: &str, scheme: &Scheme, method: &Method) -> Result<Uri, TargetFailure> {
    let authority = Authority::try_from(authority).ok().filter(|name| !name.as_str().contains('@'));
    let path = PathAndQuery::try_from(path).ok().filter(|parsed| {
        let whole = parsed.as_str() == path;
        whole && (path.starts_with('/') || (path == "*" && *method == Method::OPTIONS))
    });
    let uri = Uri::builder()
        .scheme(scheme.clone())
        .authority(authority.ok_or_else(|| impossible("the host that is asked for is none"))?)
        .path_and_query(path.ok_or_else(|| impossible("the path that is asked for is none"))?);
    uri.build().map_err(|_| impossible("what is asked for is no URI"))
}

/// Fields as the library has them, without those of the connection.
pub(super) fn fields(fields: Vec<HttpField>) -> Result<HeaderMap, TargetFailure> {
    let mut headers = HeaderMap::new();
    for HttpField { name, value } in fields {
        let wrong = || impossible(format!("{name:?} is no field, or has no value that a field can have"));
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        if OF_THE_CONNECTION.contains(&parsed.as_str()) {
            continue;
        }
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| wrong())?;
        headers.try_append(parsed, value).map_err(|_| impossible("the request has too many fields"))?;
    }
    Ok(headers)
}

/// The length that the client has said.
pub(super) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, TargetFailure> {
    let mut said = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = said.next() else { return Ok(None) };
    let digits = first.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|text| text.parse().ok()) {
        Some(length) if said.all(|other| other == first) => Ok(Some(length)),
        _ => Err(impossible("the request's content-length is none")),
    }
}
