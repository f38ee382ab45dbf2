//! [AWS Signature Version 4], in the field `Authorization`.
//!
//! Signed are the method, the path, the query, the host, the time, the type, the session token and the hash of the body. A body that is not known
//! whole, or is longer than [`MOST_HASHED_BYTES`], goes as `UNSIGNED-PAYLOAD`.
//!
//! [AWS Signature Version 4]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use hoop_core::Secret;
use hoop_proto::tunnel::v1::HttpAwsSigv4;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Request};
use http_body_util::BodyExt as _;

use super::body::RequestBody;
use super::login::{remove, unusable};
use super::request::content_length;
use crate::error::TargetFailure;

/// The longest body that is kept back to be hashed.
const MOST_HASHED_BYTES: u64 = 1 << 20;
/// What a client could say in the place of the agent.
const OURS: [&str; 3] = ["x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];

/// An access key, and what it is used for.
pub(super) struct Sigv4 {
    credentials: Credentials,
    region: String,
    service: String,
}

impl Sigv4 {
    /// With the secret access key and, where the key is a temporary one, its session token.
    pub(super) fn new(
        said: &HttpAwsSigv4,
        secret: &Secret<Vec<u8>>,
        session_token: Option<&Secret<Vec<u8>>>,
    ) -> Result<Self, TargetFailure> {
        let key = std::str::from_utf8(secret.expose())
            .map_err(|_| unusable("the role's secret is no secret access key of AWS"))?;
        let is_one = |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let token = session_token.map(|token| {
            let text = std::str::from_utf8(token.expose()).ok().filter(|text| is_one(text));
            text.map(str::to_owned).ok_or_else(|| unusable("the role's session token is none of AWS"))
        });
        let credentials = Credentials::new(&said.access_key_id, key, token.transpose()?, None, "role");
        Ok(Self { credentials, region: said.region.clone(), service: said.service.clone() })
    }

    /// Signs a request.
    pub(super) async fn sign(&self, request: Request<RequestBody>) -> Result<Request<RequestBody>, TargetFailure> {
        let mut request = known(request).await?;
        for name in OURS {
            remove(request.headers_mut(), &HeaderName::from_static(name));
        }
        let signed = self.signature(&request)?;
        for (name, value, sensitive) in signed {
            let mut value = HeaderValue::from_str(&value).map_err(|_| unusable("the access key is none"))?;
            value.set_sensitive(sensitive);
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        Ok(request)
    }

    fn signature(&self, request: &Request<RequestBody>) -> Result<Vec<(&'static str, String, bool)>, TargetFailure> {
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(SystemTime::now())
            .settings(self.settings())
            .build()
            .map_err(|error| unusable(format!("requests cannot be signed: {error}")))?
            .into();
        let body = match request.body() {
            RequestBody::Whole(whole) | RequestBody::Short(whole) => {
                SignableBody::Bytes(whole.as_deref().unwrap_or_default())
            }
            RequestBody::Streamed(_) => SignableBody::UnsignedPayload,
        };
        // Others may be changed on the way.
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let fields = kind.map(|kind| (CONTENT_TYPE.as_str(), kind)).into_iter();
        let signed = SignableRequest::new(request.method().as_str(), request.uri().to_string(), fields, body)
            .and_then(|signable| sign(signable, &params))
            .map_err(|error| unusable(format!("the request cannot be signed: {error}")))?;
        let (fields, _) = signed.into_parts().0.into_parts();
        Ok(fields.into_iter().map(|field| (field.name(), field.value().to_owned(), field.sensitive())).collect())
    }

    /// S3 takes paths as they are.
    fn settings(&self) -> SigningSettings {
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        if self.service.starts_with("s3") {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        settings
    }
}

/// Waits for a body that is said to be short.
async fn known(request: Request<RequestBody>) -> Result<Request<RequestBody>, TargetFailure> {
    let (parts, body) = request.into_parts();
    let short = content_length(&parts.headers)?.is_some_and(|length| length <= MOST_HASHED_BYTES);
    let body = match body {
        RequestBody::Streamed(pieces) if short => RequestBody::Whole(Some(whole(pieces).await?)),
        other => other,
    };
    Ok(Request::from_parts(parts, body))
}

async fn whole(pieces: super::body::Pieces) -> Result<Bytes, TargetFailure> {
    let limited = http_body_util::Limited::new(RequestBody::Streamed(pieces), MOST_HASHED_BYTES as usize);
    let collected =
        limited.collect().await.map_err(|_| super::failure::impossible("the request's body is not whole"))?;
    Ok(collected.to_bytes())
}
