//! Signing in by the browser of the machine that asks: an authorization code with PKCE ([RFC 7636], [RFC 8252]). The browser
//! brings the code to a port of the machine itself, and only who began has what goes with it.
//!
//! [RFC 7636]: https://www.rfc-editor.org/rfc/rfc7636
//! [RFC 8252]: https://www.rfc-editor.org/rfc/rfc8252

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use hoop_core::id::{OrgId, TokenId};
use hoop_core::{Clock, Secret};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::{Host, Url};

use super::sign_in::{Approved, take};
use super::token;
use crate::store::{Binding, SignInRequest, SignInState, Store, StoreError, Token};

/// How long a code is good, in seconds: a browser brings it at once.
const LIFE: i64 = 60;
/// A verifier is this long ([RFC 7636 §4.1]).
///
/// [RFC 7636 §4.1]: https://www.rfc-editor.org/rfc/rfc7636#section-4.1
const VERIFIER: std::ops::RangeInclusive<usize> = 43..=128;

/// Sign-ins by the browser of the machine that asks.
pub struct BrowserSignIns {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl BrowserSignIns {
    /// In this store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Lets a client in as the user of this sign-in, for whom the code is made. It is good for a minute, once, and for who
    /// can show what it is bound to.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn approve(
        &self,
        client: &str,
        source: Option<String>,
        binding: Binding,
        by: &Token,
    ) -> Result<Secret<String>, StoreError> {
        let ((code, code_hash), now) = (token::authorization_code(), self.clock.now());
        let request = SignInRequest {
            org: by.org,
            code_hash,
            user_code_hash: None,
            client: client.to_owned(),
            source,
            binding: Some(binding),
            state: SignInState::Approved,
            user: Some(by.user),
            token: Some(by.id),
            issued: None,
            interval_seconds: 0,
            polled_at: None,
            created_at: now,
            expires_at: now + TimeDelta::seconds(LIFE),
        };
        self.store.sign_in_requests().create(&request).await?;
        Ok(code)
    }

    /// Whom the code lets in, for the token `issued`. It is used up by the first who shows it, also where the rest is wrong.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn redeem(
        &self,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
        issued: TokenId,
    ) -> Result<Option<Approved>, StoreError> {
        let found = self.store.sign_in_requests().by_code(OrgId::DEFAULT, &token::hash(code)).await?;
        let Some((request, binding)) = found.and_then(|request| request.binding.clone().map(|bound| (request, bound)))
        else {
            return Ok(None);
        };
        let taken = take(&*self.store, &*self.clock, &request, Some(issued)).await?;
        Ok(taken.filter(|_| binding.redirect_uri == redirect_uri && fits(verifier, &binding.challenge)))
    }
}

fn fits(verifier: &str, challenge: &str) -> bool {
    VERIFIER.contains(&verifier.len()) && bool::from(self::challenge(verifier).as_bytes().ct_eq(challenge.as_bytes()))
}

/// The S256 challenge of a verifier.
pub fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// Whether a text can be a challenge: SHA-256 in base64.
pub(crate) fn is_challenge(text: &str) -> bool {
    BASE64_URL_SAFE_NO_PAD.decode(text).is_ok_and(|hash| hash.len() == 32)
}

/// Where a browser brings a code: a port of the machine that it runs on, named by its address, since a name could be made to
/// lead elsewhere ([RFC 8252 §8.3]). `None` for anything else.
///
/// [RFC 8252 §8.3]: https://www.rfc-editor.org/rfc/rfc8252#section-8.3
pub(crate) fn loopback(redirect_uri: &str) -> Option<Url> {
    let url = Url::parse(redirect_uri).ok()?;
    let here = matches!(url.host(), Some(Host::Ipv4(address)) if address == std::net::Ipv4Addr::LOCALHOST);
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    // As it is written: what others read differently is not let through.
    let same = url.as_str() == redirect_uri && url.port().is_some();
    (url.scheme() == "http" && here && plain && same).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That of [RFC 7636, appendix B](https://www.rfc-editor.org/rfc/rfc7636#appendix-B).
    #[test]
    fn a_challenge_is_that_of_its_verifier() {
        let (verifier, of_rfc) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert_eq!(challenge(verifier), of_rfc);
        assert!(fits(verifier, of_rfc) && is_challenge(of_rfc));
        assert!(!fits(&verifier.to_lowercase(), of_rfc) && !fits("short", &challenge("short")));
        for wrong in ["", verifier.trim_end_matches('k'), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM="] {
            assert!(!is_challenge(wrong), "{wrong}");
        }
    }

    #[test]
    fn codes_are_brought_to_this_machine_alone() {
        assert!(loopback("http://127.0.0.1:41234/callback").is_some());
        for wrong in [
            "",
            "/callback",
            "http://127.0.0.1/callback",
            "http://localhost:41234/callback",
            "https://127.0.0.1:41234/callback",
            "http://127.0.0.2:41234/callback",
            "http://0x7f.1:41234/callback",
            "http://2130706433:41234/callback",
            "http://127.0.0.1.evil.example:41234/callback",
            "http://127.0.0.1:41234@evil.example/callback",
            "http://evil.example:41234/callback",
            "http://user@127.0.0.1:41234/callback",
            "http://127.0.0.1:41234/callback#x",
            "http://127.0.0.1:41234/callback?to=x",
            "http://127.0.0.1:41234\\@evil.example/",
            " http://127.0.0.1:41234/callback",
            "javascript:alert(1)",
        ] {
            assert!(loopback(wrong).is_none(), "{wrong}");
        }
    }
}
