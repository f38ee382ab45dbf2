//! Who asks, for targets to read: a signed token in the field `Hoop-Identity` ([RFC 7519], EdDSA).
//!
//! [RFC 7519]: https://www.rfc-editor.org/rfc/rfc7519

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use hoop_core::{Clock, SessionContext};
use http::HeaderValue;
use http::header::HeaderName;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::api::{Jwk, JwkSet};

/// The field.
pub(crate) const HOOP_IDENTITY: HeaderName = HeaderName::from_static("hoop-identity");

/// How long a token is good, in seconds …
const LIFE: i64 = 300;
/// … and after which a new one is made.
const RENEWED: i64 = 120;

/// The key of a gateway with which it says who asks.
#[derive(Clone)]
pub(crate) struct IdentityKey {
    key: Arc<SigningKey>,
    id: Arc<str>,
    issuer: Arc<str>,
}

impl IdentityKey {
    /// `issuer` is the URL of the gateway, under which the public key is found.
    pub(crate) fn new(key: SigningKey, issuer: &str) -> Self {
        let id = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(key.verifying_key().as_bytes())[..12]);
        Self { key: Arc::new(key), id: id.into(), issuer: issuer.into() }
    }

    /// The public key, as a set.
    pub(crate) fn public(&self) -> JwkSet {
        let x = BASE64_URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes());
        let key = Jwk { kty: "OKP", crv: "Ed25519", usage: "sig", alg: "EdDSA", kid: self.id.to_string(), x };
        JwkSet { keys: vec![key] }
    }

    fn sign(&self, claims: &Claims<'_>) -> Option<HeaderValue> {
        let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": &*self.id });
        let part = |value: Vec<u8>| BASE64_URL_SAFE_NO_PAD.encode(value);
        let signed = format!("{}.{}", part(serde_json::to_vec(&header).ok()?), part(serde_json::to_vec(claims).ok()?));
        let signature = part(self.key.sign(signed.as_bytes()).to_bytes().to_vec());
        HeaderValue::try_from(format!("{signed}.{signature}")).ok()
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    /// The user's id.
    sub: String,
    /// The role's name.
    aud: &'a str,
    iat: i64,
    exp: i64,
    name: &'a str,
    groups: Vec<&'a str>,
    /// The session's id.
    sid: String,
}

/// The caller of one session, as its target reads it.
pub(crate) struct Identity {
    key: IdentityKey,
    clock: Arc<dyn Clock>,
    context: Arc<SessionContext>,
    current: Mutex<Option<(i64, HeaderValue)>>,
}

impl Identity {
    pub(crate) fn new(key: IdentityKey, clock: Arc<dyn Clock>, context: Arc<SessionContext>) -> Self {
        Self { key, clock, context, current: Mutex::new(None) }
    }

    /// A token that is good for some minutes.
    pub(super) fn token(&self) -> Option<HeaderValue> {
        let now = self.clock.now().timestamp();
        let mut current = self.current.lock();
        if let Some((made, token)) = &*current
            && (0..RENEWED).contains(&(now - made))
        {
            return Some(token.clone());
        }
        let SessionContext { principal, role, id, .. } = &*self.context;
        let token = self.key.sign(&Claims {
            iss: &self.key.issuer,
            sub: principal.user.to_string(),
            aud: &role.name,
            iat: now,
            exp: now + LIFE,
            name: &principal.name,
            groups: principal.groups.iter().map(|group| &**group).collect(),
            sid: id.to_string(),
        })?;
        *current = Some((now, token.clone()));
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};

    #[test]
    fn a_token_verifies_with_the_key_that_is_shown() {
        let key = IdentityKey::new(SigningKey::from_bytes(&[7; 32]), "https://hoop.example");
        let claims = Claims {
            iss: "https://hoop.example",
            sub: "usr_1".to_owned(),
            aud: "billing",
            iat: 1,
            exp: 301,
            name: "ada",
            groups: vec!["support"],
            sid: "ses_1".to_owned(),
        };
        let token = key.sign(&claims).expect("signed");
        let token = token.to_str().expect("ASCII");
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64");
        let shown = &key.public().keys[0];
        let public = decode(&shown.x).try_into().expect("32 bytes");
        let public = VerifyingKey::from_bytes(&public).expect("a key");
        let signature = Signature::from_slice(&decode(signature)).expect("64 bytes");
        public.verify(signed.as_bytes(), &signature).expect("it is signed with it");
        let (header, payload) = signed.split_once('.').expect("two parts");
        let header: Value = serde_json::from_slice(&decode(header)).expect("JSON");
        assert_eq!((&header["kid"], &header["alg"]), (&json!(shown.kid), &json!("EdDSA")));
        let payload: Value = serde_json::from_slice(&decode(payload)).expect("JSON");
        assert_eq!((&payload["name"], &payload["groups"][0]), (&json!("ada"), &json!("support")));
    }
}
