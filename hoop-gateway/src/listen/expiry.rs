//! The end of the certificate: in the metrics, and in the log before it comes.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::Clock;

use super::certificate::Certificate;
use crate::telemetry::Telemetry;

/// How often the certificate is looked at; it may be another one by then.
const LOOK: Duration = Duration::from_secs(5);
/// How long before its end it is said.
const SOON: TimeDelta = TimeDelta::days(14);
/// How often it is said.
const AGAIN: TimeDelta = TimeDelta::days(1);

/// Looks when the certificate that is shown ends.
pub(crate) struct Expiry {
    certificate: Certificate,
    telemetry: Arc<Telemetry>,
    clock: Arc<dyn Clock>,
    /// Of which certificate it was said last, and when.
    said: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Expiry {
    pub(crate) fn new(certificate: Certificate, telemetry: Arc<Telemetry>, clock: Arc<dyn Clock>) -> Self {
        Self { certificate, telemetry, clock, said: None }
    }

    /// Looks again and again.
    pub(crate) async fn watch(mut self) {
        loop {
            self.look();
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Looks once, and tells whether it said something.
    fn look(&mut self) -> bool {
        let Some(end) = self.certificate.shown().ends_at else { return false };
        #[allow(clippy::cast_precision_loss, reason = "exact for as long as there are certificates")]
        self.telemetry.certificate_expiry.set(end.timestamp() as f64);
        let now = self.clock.now();
        let just_said = self.said.is_some_and(|(of, at)| of == end && now - at < AGAIN);
        if end - now > SOON || just_said {
            return false;
        }
        self.said = Some((end, now));
        if end <= now {
            tracing::error!(ends_at = %end, "the certificate has ended: who verifies it does not connect; renew its files");
        } else {
            tracing::warn!(ends_at = %end, days = (end - now).num_days(), "the certificate ends soon; renew its files");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use parking_lot::Mutex;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::super::certificate::CertificateFiles;
    use super::*;

    struct Told(Mutex<DateTime<Utc>>);

    impl Clock for Told {
        fn now(&self) -> DateTime<Utc> {
            *self.0.lock()
        }

        fn monotonic(&self) -> Instant {
            Instant::now()
        }
    }

    #[test]
    fn it_is_said_once_a_day_from_two_weeks_on_and_the_metric_is_there_before() {
        let pair = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.not_after = date_time_ymd(2030, 3, 15);
        let folder = tempfile::tempdir().expect("a folder");
        let files = CertificateFiles { certificate: folder.path().join("a.crt"), key: folder.path().join("a.key") };
        std::fs::write(&files.certificate, params.self_signed(&pair).expect("signed").pem()).expect("written");
        std::fs::write(&files.key, pair.serialize_pem()).expect("written");
        let identity = files.read().and_then(|pem| pem.identity()).expect("usable");
        let certificate = Certificate::new(identity).expect("they fit");

        let clock = Arc::new(Told(Mutex::default()));
        let telemetry = Arc::new(Telemetry::new().expect("buckets"));
        let mut expiry = Expiry::new(certificate, Arc::clone(&telemetry), Arc::clone(&clock) as Arc<dyn Clock>);
        for (time, expected) in [
            ("2030-02-28T00:00:00Z", false),
            ("2030-03-01T01:00:00Z", true),
            ("2030-03-01T23:00:00Z", false),
            ("2030-03-02T01:00:00Z", true),
            ("2030-03-15T00:00:00Z", true),
        ] {
            *clock.0.lock() = time.parse().expect("a time");
            assert_eq!(expiry.look(), expected, "{time}");
            let shown = telemetry.render();
            assert!(shown.contains("\nhoop_tls_certificate_expiry_timestamp_seconds 1899763200\n"), "{shown}");
        }
    }
}
