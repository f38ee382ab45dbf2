//! What the generated message does not do by itself: a secret is not printed, and not left in memory.

use std::fmt;

use zeroize::Zeroize as _;

use super::v1::SuppliedSecret;

impl fmt::Debug for SuppliedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SuppliedSecret").field("field", &self.field).field("value", &"[secret]").finish()
    }
}

impl Drop for SuppliedSecret {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use crate::tunnel::v1::{GatewayMessage, Open, SuppliedSecret, gateway_message};

    #[test]
    fn a_message_with_a_secret_does_not_print_it() {
        let secret = SuppliedSecret { field: "password".to_owned(), value: "hunter2".to_owned() };
        let open = Open { secrets: vec![secret], ..Open::default() };
        let message = GatewayMessage { body: Some(gateway_message::Body::Open(open)) };
        let printed = format!("{message:?} {message:#?}");
        assert!(printed.contains("password") && !printed.contains("hunter2"), "{printed}");
    }
}
