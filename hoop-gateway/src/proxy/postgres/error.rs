//! The one place where a refusal becomes PostgreSQL: an ErrorResponse with SQLSTATE and HINT.

use bytes::{Bytes, BytesMut};
use hoop_core::{Code, Denial, Flow, Interest, Response, SessionChain, TargetError};
use hoop_proto::postgres::Frames;
use hoop_proto::postgres::backend::{ERROR_RESPONSE, NOTICE_RESPONSE, error_fields, write_error_fields};

use crate::tunnel::OpenFailure;

/// How bad it is, as PostgreSQL spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The statement fails, the session goes on.
    Error,
    /// The session ends.
    Fatal,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// The SQLSTATE of a code ([PostgreSQL Error Codes]).
///
/// [PostgreSQL Error Codes]: https://www.postgresql.org/docs/current/errcodes-appendix.html
pub(crate) const fn sqlstate(code: Code) -> &'static str {
    match code {
        // invalid_password
        Code::LoginFailed
        | Code::CredentialExpired
        | Code::CredentialRevoked
        | Code::Unauthenticated
        | Code::AuthorizationPending
        | Code::SlowDown
        | Code::ExpiredToken => "28P01",
        // invalid_authorization_specification
        Code::TlsRequired | Code::RoleNotFound | Code::TargetLoginFailed => "28000",
        // too_many_connections
        Code::Throttled => "53300",
        // insufficient_privilege
        Code::AccessDenied
        | Code::ReasonRequired
        | Code::ReviewRequired
        | Code::ReviewDenied
        | Code::ReviewExpired
        | Code::DatabaseDenied
        | Code::ReplicationDenied
        | Code::StatementDenied
        | Code::CommandDenied
        | Code::RequestDenied
        | Code::ChannelDenied
        | Code::FileDenied
        | Code::CrossSite
        | Code::MaskingFailed => "42501",
        // syntax_error
        Code::StatementUnparsable => "42601",
        // io_error
        Code::RecordingFailed => "58030",
        // system_error
        Code::PluginFailed | Code::SecretUnavailable => "58000",
        // too_many_connections
        Code::AgentBusy => "53300",
        // out_of_memory
        Code::GatewayBusy => "53200",
        // cannot_connect_now
        Code::AgentUnavailable
        | Code::TargetUnavailable
        | Code::TargetUnhealthy
        | Code::TargetTimeout
        | Code::StoreUnavailable => "57P03",
        // admin_shutdown
        Code::AgentLost | Code::SessionKilled | Code::SessionExpired | Code::AccessRevoked | Code::GatewayDraining => {
            "57P01"
        }
        // sqlserver_rejected_establishment_of_sqlconnection
        Code::AgentRefused => "08004",
        // sqlclient_unable_to_establish_sqlconnection
        Code::TargetTls | Code::TargetHostKey => "08001",
        // connection_failure
        Code::TargetLost => "08006",
        // protocol_violation
        Code::ProtocolViolation => "08P01",
        // feature_not_supported
        Code::Unsupported => "0A000",
        // program_limit_exceeded
        Code::LimitExceeded => "54000",
        // query_canceled
        Code::Cancelled | Code::Timeout | Code::ClientTimeout => "57014",
        // invalid_parameter_value
        Code::InvalidRequest | Code::UnsupportedMediaType | Code::KeyReused | Code::Misdirected => "22023",
        // undefined_object
        Code::NotFound => "42704",
        // object_not_in_prerequisite_state
        Code::Conflict | Code::PreconditionFailed | Code::PreconditionRequired => "55000",
        // internal_error
        _ => "XX000",
    }
}

/// The fields of an ErrorResponse.
pub(crate) fn fields(severity: Severity, denial: &Denial) -> Vec<(u8, Bytes)> {
    let severity = Bytes::from_static(severity.as_str().as_bytes());
    let mut fields = vec![
        (b'S', severity.clone()),
        (b'V', severity),
        (b'C', Bytes::from_static(sqlstate(denial.code).as_bytes())),
        (b'M', Bytes::from(denial.reason.clone())),
    ];
    if let Some(hint) = &denial.hint {
        fields.push((b'H', Bytes::from(hint.clone())));
    }
    // Where the server names its source file, programs find the stable code.
    fields.push((b'R', Bytes::from_static(denial.code.as_str().as_bytes())));
    fields
}

/// An ErrorResponse or, as `tag` says, a NoticeResponse with these fields.
pub(super) fn encode(tag: u8, fields: &[(u8, Bytes)]) -> Bytes {
    let mut out = BytesMut::new();
    write_error_fields(tag, fields.iter().map(|(letter, value)| (*letter, &value[..])), &mut out);
    out.freeze()
}

/// The whole ErrorResponse.
pub(crate) fn response(severity: Severity, denial: &Denial) -> Bytes {
    encode(ERROR_RESPONSE, &fields(severity, denial))
}

/// What may be known of a server's refusal of the login: what the chain leaves of it.
pub(crate) fn refused_login(chain: &mut SessionChain, failure: &mut OpenFailure) {
    if failure.target_error.is_empty() || !chain.wants(Interest::ERRORS) {
        return;
    }
    let frame = Frames::new(failure.target_error.clone()).next(failure.target_error.len()).ok().flatten();
    let fields = frame.and_then(|frame| error_fields(&frame).ok()).unwrap_or_default();
    let error = TargetError { statement: None, fields: fields.clone(), denial: None };
    let shown = match chain.response(Response::Error(error)) {
        Flow::Pass(Response::Error(error)) => error.fields,
        // There is no session yet that could wait.
        _ => Vec::new(),
    };
    if shown == fields && !fields.is_empty() {
        return;
    }
    // The reason repeats what the server said.
    failure.denial.reason = "the server refuses the login".to_owned();
    failure.target_error = if shown.is_empty() { Bytes::new() } else { encode(ERROR_RESPONSE, &shown) };
}

/// A NoticeResponse with this text, and what to do.
pub(crate) fn notice(text: &str, hint: Option<&str>) -> Bytes {
    let field = Bytes::from_static;
    let mut fields = vec![
        (b'S', field(b"NOTICE")),
        (b'V', field(b"NOTICE")),
        (b'C', field(b"00000")),
        (b'M', Bytes::copy_from_slice(text.as_bytes())),
    ];
    fields.extend(hint.map(|hint| (b'H', Bytes::copy_from_slice(hint.as_bytes()))));
    encode(NOTICE_RESPONSE, &fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_sqlstate_of_its_own_kind() {
        for code in Code::ALL {
            let state = sqlstate(*code);
            assert!(state.len() == 5 && state.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()));
            assert_eq!(state == "XX000", *code == Code::Internal, "{code}");
        }
    }
}
