//! Who is calling: by a credential's password, by a public key of a user's, by a certificate of an authority that the gateway
//! trusts, or by a sign-in with a browser (`sign_in.rs`).

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use hoop_core::id::{CredentialId, OrgId, RequestId};
use hoop_core::{Code, Denial, Principal, ResourceRole, SshAllow, Target};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Certificate, HashAlg};

use super::SshDoor;
use crate::auth::credential::{login_failed, principal};
use crate::auth::token::unavailable;
use crate::auth::{Bearer, settled};
use crate::listen::stranger::is_own;
use crate::session::Pass;

/// The one critical option of a certificate that is understood ([PROTOCOL.certkeys]).
///
/// [PROTOCOL.certkeys]: https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL.certkeys
const SOURCE_ADDRESS: &str = "source-address";

/// Where a client comes from.
pub(super) struct Visitor {
    pub(super) peer: SocketAddr,
    pub(super) request_id: RequestId,
    pub(super) bearer: Option<Bearer>,
}

/// A caller whose login is proven.
pub(super) struct Caller {
    pub(super) principal: Principal,
    /// What is behind it: the session ends with any of them.
    pub(super) passes: Vec<Pass>,
    /// The credential that was shown, where one was.
    pub(super) credential: Option<CredentialId>,
    /// What for.
    pub(super) role: Chosen,
    /// What of what the role allows.
    pub(super) permits: Permits,
    /// What the client calls itself.
    pub(super) client: String,
}

impl Caller {
    /// Whether the role may take a display of the client's, as far as it is known by now.
    pub(super) fn may_lend_display(&self) -> bool {
        match &self.role {
            Chosen::Role(role) => {
                self.permits.display && matches!(&role.target, Target::Ssh(target) if target.allow.x11_forwarding)
            }
            Chosen::None(_) => self.permits.display,
            Chosen::Refused(_) => false,
        }
    }
}

/// What for, as the login name says.
pub(super) enum Chosen {
    /// This role.
    Role(Box<ResourceRole>),
    /// None that there is: the user chooses, where one is there to choose.
    None(Denial),
    /// Nothing, for this reason.
    Refused(Denial),
}

/// What a certificate permits by its extensions ([PROTOCOL.certkeys]), as an authority makes one for less than everything.
///
/// [PROTOCOL.certkeys]: https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL.certkeys
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Permits {
    pub(super) terminal: bool,
    forwarding: bool,
    agent: bool,
    display: bool,
}

impl Permits {
    /// Of who comes without a certificate.
    pub(super) const ALL: Self = Self { terminal: true, forwarding: true, agent: true, display: true };

    fn of(certificate: &Certificate) -> Self {
        let has = |name: &str| certificate.extensions().contains_key(name);
        Self {
            terminal: has("permit-pty"),
            forwarding: has("permit-port-forwarding"),
            agent: has("permit-agent-forwarding"),
            display: has("permit-X11-forwarding"),
        }
    }

    /// What is left of what a role allows.
    pub(super) fn narrow(self, allow: SshAllow) -> SshAllow {
        let only = |list: Vec<String>| if self.forwarding { list } else { Vec::new() };
        SshAllow {
            direct_tcpip: only(allow.direct_tcpip),
            direct_streamlocal: only(allow.direct_streamlocal),
            tcpip_forward: only(allow.tcpip_forward),
            streamlocal_forward: only(allow.streamlocal_forward),
            agent_forwarding: allow.agent_forwarding && self.agent,
            x11_forwarding: allow.x11_forwarding && self.display,
            ..allow
        }
    }
}

/// A login name: `role`, or `user+role`.
pub(super) struct LoginName<'a> {
    pub(super) user: Option<&'a str>,
    role: &'a str,
}

impl<'a> LoginName<'a> {
    pub(super) fn of(login: &'a str) -> Self {
        match login.split_once('+') {
            Some((user, role)) => Self { user: Some(user), role },
            None => Self { user: None, role: login },
        }
    }
}

impl SshDoor {
    /// By the login and the password of a credential.
    pub(super) async fn with_password(&self, visitor: &Visitor, login: &str, password: &str) -> Option<Caller> {
        let proven = self.proven(visitor, login, password).await;
        match &proven {
            Ok(_) => self.throttle.succeeded(Some(visitor.peer.ip()), login),
            Err(_) => self.throttle.failed(Some(visitor.peer.ip()), login),
        }
        self.logged(visitor, proven)
    }

    /// Whether the key is one that somebody may come with. Nobody has signed with it yet, and the library does not say whether it
    /// is offered with a certificate: where one may do, that is seen when it is signed with.
    pub(super) async fn may_sign(&self, fingerprint: &str) -> bool {
        !self.authorities.is_empty() || matches!(self.keys.find(OrgId::DEFAULT, fingerprint).await, Ok(Some(_)))
    }

    /// By a public key, with which the client has signed.
    pub(super) async fn with_key(&self, visitor: &Visitor, login: &str, fingerprint: &str) -> Option<Caller> {
        let holder = match self.keys.find(OrgId::DEFAULT, fingerprint).await {
            Ok(holder) => holder.ok_or_else(login_failed),
            Err(denial) => Err(denial),
        };
        let caller = match holder {
            Ok(holder) => {
                self.keys.used(&holder).await;
                self.caller(visitor, login, holder.principal, Some(Pass::Key(holder.key))).await
            }
            Err(denial) => Err(denial),
        };
        self.logged(visitor, caller)
    }

    /// By a certificate, with whose key the client has signed.
    pub(super) async fn with_certificate(
        &self,
        visitor: &Visitor,
        login: &str,
        certificate: &Certificate,
    ) -> Option<Caller> {
        let caller = match self.certified(visitor, login, certificate).await {
            Ok(principal) => self.caller(visitor, login, principal, None).await,
            Err(denial) => Err(denial),
        };
        self.logged(visitor, caller.map(|caller| Caller { permits: Permits::of(certificate), ..caller }))
    }

    fn logged(&self, visitor: &Visitor, caller: Result<Caller, Denial>) -> Option<Caller> {
        caller.inspect_err(|denial| self.refused(visitor, denial)).ok()
    }

    /// A login that was refused.
    pub(super) fn refused(&self, visitor: &Visitor, denial: &Denial) {
        self.telemetry.logins_failed.increment(1);
        tracing::info!(peer = %visitor.peer, request = %visitor.request_id, code = %denial.code, reason = denial.reason, "client refused");
    }

    async fn proven(&self, visitor: &Visitor, login: &str, password: &str) -> Result<Caller, Denial> {
        self.throttle.check(Some(visitor.peer.ip()), login).map_err(Denial::from)?;
        let candidate = self.credentials.candidate(login).await?;
        if !candidate.is_proven_by(password) {
            return Err(login_failed());
        }
        let proven = self.credentials.proven(candidate).await?;
        is_own(&proven.principal, visitor.bearer.as_ref())?;
        let bearer = visitor.bearer.as_ref().map(|bearer| bearer.token.id);
        Ok(Caller {
            passes: proven.passes(bearer),
            principal: proven.principal,
            credential: Some(proven.credential),
            role: Chosen::Role(Box::new(proven.role.role)),
            permits: Permits::ALL,
            client: String::new(),
        })
    }

    /// A user who is known, and what the login name says they want.
    pub(super) async fn caller(
        &self,
        visitor: &Visitor,
        login: &str,
        principal: Principal,
        pass: Option<Pass>,
    ) -> Result<Caller, Denial> {
        is_own(&principal, visitor.bearer.as_ref())?;
        let name = LoginName::of(login);
        let role = match name.user.filter(|user| *user != &*principal.name) {
            Some(user) => {
                let reason = format!("you are {}, and not {user}", principal.name);
                let hint = format!("log in as {}+{}, or as {}", principal.name, name.role, name.role);
                Chosen::Refused(Denial::new("gateway", Code::AccessDenied, reason).hint(hint))
            }
            None => match self.keys.role_named(principal.org, name.role).await {
                Ok(role) => Chosen::Role(Box::new(role.role)),
                Err(denial) if denial.code == Code::RoleNotFound => Chosen::None(denial),
                Err(denial) => Chosen::Refused(denial),
            },
        };
        let bearer = visitor.bearer.as_ref().map(|bearer| Pass::Token(bearer.token.id));
        let passes = pass.into_iter().chain(bearer).collect();
        Ok(Caller { principal, passes, credential: None, role, permits: Permits::ALL, client: String::new() })
    }

    /// As OpenSSH does: a user certificate, of an authority that is trusted, for this user, at this time, from this address,
    /// and with no option that would have to be understood.
    async fn certified(&self, visitor: &Visitor, login: &str, certificate: &Certificate) -> Result<Principal, Denial> {
        let fingerprints: Vec<_> = self.authorities.iter().map(|key| key.fingerprint(HashAlg::Sha256)).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default();
        let is_good = certificate.cert_type() == CertType::User && certificate.validate_at(now, &fingerprints).is_ok();
        if !is_good || !comes_from(certificate, visitor.peer) {
            return Err(login_failed());
        }
        let names = certificate.valid_principals();
        let name = match (LoginName::of(login).user, names) {
            (Some(user), _) => names.iter().find(|name| *name == user),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let name = name.ok_or_else(|| {
            Denial::new("gateway", Code::LoginFailed, "the certificate does not say for whom of its users it is shown")
                .hint("log in as user+role")
        })?;
        let user = self.sessions.parts().store.users().by_name(OrgId::DEFAULT, name).await.map_err(unavailable)?;
        let user = user.filter(|user| !user.disabled).ok_or_else(login_failed)?;
        settled(&user)?;
        Ok(principal(user))
    }
}

/// Whether the certificate may be shown from there, and asks for nothing else.
fn comes_from(certificate: &Certificate, peer: SocketAddr) -> bool {
    certificate.critical_options().iter().all(|(name, value)| {
        let networks = (name == SOURCE_ADDRESS).then_some(value);
        networks.is_some_and(|networks| networks.split(',').any(|network| contains(network.trim(), peer)))
    })
}

fn contains(network: &str, peer: SocketAddr) -> bool {
    match network.parse::<ipnet::IpNet>() {
        Ok(network) => network.contains(&peer.ip().to_canonical()),
        Err(_) => network.parse().is_ok_and(|address: std::net::IpAddr| address == peer.ip().to_canonical()),
    }
}
