//! SCRAM-SHA-256 as its client ([RFC 5802], [RFC 7677]), as PostgreSQL speaks it: without a user name, which the startup
//! message has.
//!
//! It does what `postgres-protocol` does with half the hashing: the key of HMAC is prepared once and not anew for each of
//! the thousands of iterations, which are most of what a login costs.
//!
//! [RFC 5802]: https://www.rfc-editor.org/rfc/rfc5802
//! [RFC 7677]: https://www.rfc-editor.org/rfc/rfc7677

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hoop_core::Secret;
use parking_lot::Mutex;

/// Without the TLS channel.
pub(super) const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
/// Bound to it.
pub(super) const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// The most iterations that a server may ask for: it chooses how much work a login is.
const MOST_ITERATIONS: u32 = 100_000;

/// How long keys are kept.
const KEPT: Duration = Duration::from_secs(600);
/// How many are kept at most.
const MOST_KEPT: usize = 1024;

/// The server does not keep to the protocol, or does not know the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScramError {
    #[error("its challenge cannot be read")]
    Challenge,
    #[error("it asks for {0} iterations, and the most are {MOST_ITERATIONS}")]
    Iterations(u32),
    #[error("it answers another login")]
    Nonce,
    #[error("it refuses: {0}")]
    Refused(String),
    #[error("it does not prove that it knows the password")]
    Proof,
}

/// What the exchange is bound to.
pub(super) enum Binding {
    /// There is no TLS channel.
    Unsupported,
    /// There is one, and the server has not offered to bind.
    Unoffered,
    /// The hash of the server's certificate: `tls-server-end-point` ([RFC 5929 §4]).
    ///
    /// [RFC 5929 §4]: https://www.rfc-editor.org/rfc/rfc5929#section-4
    EndPoint(Vec<u8>),
}

impl Binding {
    const fn header(&self) -> &'static str {
        match self {
            Self::Unsupported => "n,,",
            Self::Unoffered => "y,,",
            Self::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    fn encoded(&self) -> String {
        let data = if let Self::EndPoint(hash) = self { &hash[..] } else { &[] };
        BASE64_STANDARD.encode([self.header().as_bytes(), data].concat())
    }
}

/// An exchange that begins.
pub(super) struct Scram {
    password: Secret<Vec<u8>>,
    binding: Binding,
    /// The first message without the header of the binding.
    bare: String,
    nonce: String,
}

/// An exchange in which the server waits for an answer.
pub(super) struct Challenged {
    input: Arc<Input>,
    without_proof: String,
    /// What both ends sign.
    exchanged: String,
}

/// What the keys of a login are made from.
pub(super) struct Input {
    password: Secret<Vec<u8>>,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

/// `ClientKey` and `ServerKey` of RFC 5802 §3.
pub(super) struct Keys {
    client: Secret<Vec<u8>>,
    server: Secret<Vec<u8>>,
}

/// Of what keys were made from.
type Fingerprint = [u8; digest::SHA256_OUTPUT_LEN];

/// Keys of the last logins, which spare the next one to the same server its iterations, as RFC 5802 §3 lets clients do. With a
/// new password, or a new salt on the server, they are not found.
pub(crate) struct ScramKeys {
    /// Of the fingerprints, which would otherwise be hashes of passwords that are guessed without the iterations.
    secret: hmac::Key,
    known: Mutex<HashMap<Fingerprint, (Arc<Keys>, Instant)>>,
}

impl Default for ScramKeys {
    fn default() -> Self {
        let secret = Secret::new(rand::random::<[u8; 32]>());
        Self { secret: key(secret.expose()), known: Mutex::default() }
    }
}

/// An exchange in which the server still has to prove itself.
pub(super) struct Unproven {
    /// What the server is sent.
    pub(super) message: String,
    /// What only a server can sign that knows the password.
    signature: [u8; digest::SHA256_OUTPUT_LEN],
}

impl Scram {
    pub(super) fn new(password: &[u8], binding: Binding) -> Self {
        let nonce = BASE64_STANDARD.encode(rand::random::<[u8; 18]>());
        Self { password: normalized(password), binding, bare: format!("n=,r={nonce}"), nonce }
    }

    /// What the server is sent first.
    pub(super) fn message(&self) -> String {
        format!("{}{}", self.binding.header(), self.bare)
    }

    /// What the server asks for, once that is known to be an answer to the first message.
    pub(super) fn challenged(self, challenge: &[u8]) -> Result<Challenged, ScramError> {
        let text = std::str::from_utf8(challenge).map_err(|_| ScramError::Challenge)?;
        let Challenge { nonce, salt, iterations } = Challenge::parse(text).ok_or(ScramError::Challenge)?;
        if iterations.get() > MOST_ITERATIONS {
            return Err(ScramError::Iterations(iterations.get()));
        }
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(ScramError::Nonce);
        }
        let without_proof = format!("c={},r={nonce}", self.binding.encoded());
        let exchanged = format!("{},{text},{without_proof}", self.bare);
        let input = Arc::new(Input { password: self.password, salt, iterations });
        Ok(Challenged { input, without_proof, exchanged })
    }
}

impl Challenged {
    /// What the keys are made from.
    pub(super) const fn input(&self) -> &Arc<Input> {
        &self.input
    }

    /// The answer, with the keys of this input.
    pub(super) fn answer(self, keys: &Keys) -> Unproven {
        let client_key = keys.client.expose();
        let stored_key = digest::digest(&digest::SHA256, client_key);
        let signed = hmac::sign(&key(stored_key.as_ref()), self.exchanged.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signed.as_ref()).map(|(a, b)| a ^ b).collect();
        let mut signature = [0; digest::SHA256_OUTPUT_LEN];
        signature.copy_from_slice(hmac::sign(&key(keys.server.expose()), self.exchanged.as_bytes()).as_ref());
        Unproven { message: format!("{},p={}", self.without_proof, BASE64_STANDARD.encode(proof)), signature }
    }
}

impl Input {
    /// The keys. It is a millisecond of work, and more where the server asks for it.
    pub(super) fn keys(&self) -> Keys {
        let Self { password, salt, iterations } = self;
        let mut salted = vec![0; digest::SHA256_OUTPUT_LEN];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, *iterations, salt, password.expose(), &mut salted);
        let salted = key(Secret::new(salted).expose());
        let [client, server] =
            [&b"Client Key"[..], b"Server Key"].map(|name| hmac::sign(&salted, name).as_ref().to_vec().into());
        Keys { client, server }
    }

    /// Differs wherever the keys do.
    fn fingerprint(&self, secret: &hmac::Key) -> Fingerprint {
        let mut hash = hmac::Context::with_key(secret);
        hash.update(&self.iterations.get().to_be_bytes());
        hash.update(&self.salt.len().to_be_bytes());
        hash.update(&self.salt);
        hash.update(self.password.expose());
        let mut fingerprint = [0; digest::SHA256_OUTPUT_LEN];
        fingerprint.copy_from_slice(hash.sign().as_ref());
        fingerprint
    }
}

impl ScramKeys {
    /// The keys of this input, when a server has proven them a short while ago.
    pub(super) fn find(&self, input: &Input) -> Option<Arc<Keys>> {
        let fingerprint = input.fingerprint(&self.secret);
        let known = self.known.lock();
        let (keys, since) = known.get(&fingerprint)?;
        (since.elapsed() < KEPT).then(|| Arc::clone(keys))
    }

    /// Keeps the keys of this input, which a server has proven.
    pub(super) fn keep(&self, input: &Input, keys: Arc<Keys>) {
        let fingerprint = input.fingerprint(&self.secret);
        let mut known = self.known.lock();
        known.retain(|_, (_, since)| since.elapsed() < KEPT);
        if known.len() < MOST_KEPT {
            known.entry(fingerprint).or_insert((keys, Instant::now()));
        }
    }
}

impl Unproven {
    /// Whether the server knows the password, too.
    pub(super) fn verify(self, last: &[u8]) -> Result<(), ScramError> {
        let last = std::str::from_utf8(last).map_err(|_| ScramError::Proof)?;
        let said = last.split(',').next().unwrap_or_default();
        if let Some(error) = said.strip_prefix("e=") {
            return Err(ScramError::Refused(error.to_owned()));
        }
        let signature = said.strip_prefix("v=").and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
        let signature = signature.ok_or(ScramError::Proof)?;
        verify_slices_are_equal(&self.signature, &signature).map_err(|_| ScramError::Proof)
    }
}

struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

impl<'a> Challenge<'a> {
    /// Attributes in their order; one that must be understood (`m=`) would come first, and is not.
    fn parse(text: &'a str) -> Option<Self> {
        let mut attributes = text.split(',');
        let nonce = attributes.next()?.strip_prefix("r=")?;
        let salt = BASE64_STANDARD.decode(attributes.next()?.strip_prefix("s=")?).ok()?;
        let iterations = attributes.next()?.strip_prefix("i=")?.parse().ok()?;
        Some(Self { nonce, salt, iterations })
    }
}

fn key(bytes: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, bytes)
}

/// SASLprep, where it applies: PostgreSQL takes passwords that it does not allow as they are.
fn normalized(password: &[u8]) -> Secret<Vec<u8>> {
    let prepared = std::str::from_utf8(password).ok().and_then(|text| stringprep::saslprep(text).ok());
    Secret::new(prepared.map_or_else(|| password.to_vec(), |text| text.into_owned().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    /// The exchange of RFC 7677 §3, whose client names its user.
    fn example(password: &str) -> Scram {
        let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        let password = normalized(password.as_bytes());
        Scram { password, binding: Binding::Unsupported, bare: format!("n=user,r={nonce}"), nonce }
    }

    impl Scram {
        fn answer(self, challenge: &[u8]) -> Result<Unproven, ScramError> {
            let challenged = self.challenged(challenge)?;
            let keys = challenged.input().keys();
            Ok(challenged.answer(&keys))
        }
    }

    #[test]
    fn it_is_the_exchange_of_the_rfc() {
        let scram = example("pencil");
        assert_eq!(scram.message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let answered = scram.answer(CHALLENGE.as_bytes()).expect("a challenge");
        assert_eq!(
            answered.message,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        answered.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").expect("it knows the password");
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_told_apart() {
        let answered = || example("pencil").answer(CHALLENGE.as_bytes()).expect("a challenge");
        let forged = format!("v={}", BASE64_STANDARD.encode([7; 32]));
        for last in [&forged[..], "v=", "v=!", "", "x", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G=="] {
            assert_eq!(answered().verify(last.as_bytes()), Err(ScramError::Proof), "{last}");
        }
        assert_eq!(answered().verify(b"e=other-error"), Err(ScramError::Refused("other-error".to_owned())));
        assert_eq!(answered().verify(&[0xff]), Err(ScramError::Proof));
    }

    #[test]
    fn challenges_that_are_none_are_refused() {
        let refused = |challenge: &str| example("pencil").answer(challenge.as_bytes()).err();
        for cut in 0..CHALLENGE.len() - 3 {
            assert!(refused(&CHALLENGE[..cut]).is_some(), "{cut}");
        }
        assert_eq!(refused(&format!("m=x,{CHALLENGE}")), Some(ScramError::Challenge));
        assert_eq!(refused(&CHALLENGE.replace("i=4096", "i=0")), Some(ScramError::Challenge));
        assert_eq!(refused(&CHALLENGE.replace("i=4096", "i=100001")), Some(ScramError::Iterations(100_001)));
        assert_eq!(refused(&CHALLENGE.replace("r=rO", "r=xO")), Some(ScramError::Nonce));
        assert_eq!(refused("r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), Some(ScramError::Nonce));
    }

    #[test]
    fn keys_are_found_for_the_same_password_salt_and_iterations_alone() {
        let challenged =
            |password: &str, challenge: &str| example(password).challenged(challenge.as_bytes()).expect("a challenge");
        let (known, first) = (ScramKeys::default(), challenged("pencil", CHALLENGE));
        assert!(known.find(first.input()).is_none());
        known.keep(first.input(), Arc::new(first.input().keys()));
        let again = challenged("pencil", CHALLENGE);
        let keys = known.find(again.input()).expect("they were kept");
        again.answer(&keys).verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").expect("it knows the password");
        for (password, challenge) in [
            ("pencils", CHALLENGE.to_owned()),
            ("pencil", CHALLENGE.replace("i=4096", "i=4097")),
            ("pencil", CHALLENGE.replace("s=W22", "s=X22")),
        ] {
            assert!(known.find(challenged(password, &challenge).input()).is_none(), "{password} {challenge}");
        }
    }

    #[test]
    fn no_more_keys_are_kept_than_there_is_room_for() {
        let known = ScramKeys::default();
        let keys = Arc::new(Keys { client: Vec::new().into(), server: Vec::new().into() });
        for number in 0..=MOST_KEPT {
            let (password, iterations) = (Vec::new().into(), NonZeroU32::MIN);
            known.keep(&Input { password, salt: number.to_be_bytes().into(), iterations }, Arc::clone(&keys));
        }
        assert_eq!(known.known.lock().len(), MOST_KEPT);
    }

    #[test]
    fn what_it_is_bound_to_is_in_both_messages() {
        for (binding, header, encoded) in [
            (Binding::Unsupported, "n,,", "biws"),
            (Binding::Unoffered, "y,,", "eSws"),
            (Binding::EndPoint(vec![1, 2]), "p=tls-server-end-point,,", "cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAQI="),
        ] {
            let scram = Scram { binding, ..example("pencil") };
            assert!(scram.message().starts_with(&format!("{header}n=user,")));
            let answered = scram.answer(CHALLENGE.as_bytes()).expect("a challenge");
            assert!(answered.message.starts_with(&format!("c={encoded},r=")), "{}", answered.message);
        }
    }

    #[test]
    fn passwords_are_prepared_where_they_can_be() {
        // A soft hyphen and a no-break space (RFC 4013 §3).
        for (given, prepared) in [("I\u{ad}X", &b"IX"[..]), ("a\u{a0}b", b"a b"), ("a\u{7}b", b"a\x07b")] {
            assert_eq!(normalized(given.as_bytes()).expose(), prepared);
        }
        assert_eq!(normalized(&[0xff, 0xfe]).expose(), &[0xff, 0xfe]);
    }
}
