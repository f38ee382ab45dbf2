//! SSH clients.

mod host_keys;

pub(crate) use host_keys::SshHostKeys;
