//! Why an exchange failed.

use std::error::Error;

use hoop_core::Code;

use crate::error::TargetFailure;

/// What is behind an error of the client's: a failure of ours, or what the target did.
pub(super) fn of(error: &(dyn Error + 'static)) -> TargetFailure {
    let (mut innermost, mut late) = (error, false);
    loop {
        if let Some(failure) = innermost.downcast_ref::<TargetFailure>() {
            return failure.clone();
        }
        late |= innermost.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout);
        match innermost.source() {
            Some(source) => innermost = source,
            None => break,
        }
    }
    if late {
        return TargetFailure::new(Code::TargetTimeout, "the target does not answer any more");
    }
    lost(innermost)
}

/// The target ended the connection, or said what is no HTTP.
pub(super) fn lost(why: impl std::fmt::Display) -> TargetFailure {
    TargetFailure::new(Code::TargetLost, format!("the target broke the exchange off: {why}"))
}

/// The gateway asks for what cannot be asked of a target.
pub(super) fn impossible(reason: impl Into<String>) -> TargetFailure {
    TargetFailure::new(Code::ProtocolViolation, reason)
}
