//! The tunnel's version rule: a gateway of one release works with agents of the release before and the one after.
//!
//! Each end says the range of versions it speaks; the highest common one is spoken.

/// The lowest version of the tunnel that this build speaks.
pub const PROTOCOL_MIN: u32 = 1;
/// The highest version of the tunnel that this build speaks.
pub const PROTOCOL_MAX: u32 = 2;
/// From this version on an agent takes secrets that the gateway keeps.
pub const SUPPLIED_SECRETS: u32 = 2;
/// From this version on an agent says that it has carried a cancel request out.
pub const CANCELS_ANSWERED: u32 = 2;

/// The two ends have no version in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no common version of the tunnel: the agent speaks {theirs_min} to {theirs_max}, the gateway {PROTOCOL_MIN} to {PROTOCOL_MAX}; upgrade the older one"
)]
pub struct VersionError {
    /// The lowest version the other end speaks.
    pub theirs_min: u32,
    /// The highest version the other end speaks.
    pub theirs_max: u32,
}

/// The highest version that both ends speak.
///
/// # Errors
/// [`VersionError`] when there is none.
pub fn negotiate(theirs_min: u32, theirs_max: u32) -> Result<u32, VersionError> {
    let common = theirs_max.min(PROTOCOL_MAX);
    if theirs_min > theirs_max || common < theirs_min.max(PROTOCOL_MIN) {
        return Err(VersionError { theirs_min, theirs_max });
    }
    Ok(common)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_version_is_spoken() {
        assert_eq!(negotiate(1, 1), Ok(1));
        assert_eq!(negotiate(1, 7), Ok(2));
        assert_eq!(negotiate(2, 7), Ok(2));
        assert!(negotiate(3, 7).is_err());
        assert!(negotiate(0, 0).is_err());
        assert!(negotiate(3, 1).is_err());
    }
}
