//! A client's half of SCRAM, for tests.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use pgwire::api::auth::sasl::scram::gen_salted_password;
use sha2::{Digest as _, Sha256};

pub(crate) fn sign(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

/// The client's proof and the server's signature that it expects (RFC 5802 §3).
pub(crate) fn proof(password: &str, salt: &[u8], iterations: usize, auth_message: &str) -> (String, String) {
    let salted = gen_salted_password(password, salt, iterations);
    let client_key = sign(&salted, b"Client Key");
    let signature = sign(&Sha256::digest(&client_key), auth_message.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
    let server = sign(&sign(&salted, b"Server Key"), auth_message.as_bytes());
    (BASE64.encode(proof), BASE64.encode(server))
}
