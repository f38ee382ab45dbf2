//! What the gateway is meant to cost at most, and whether it does.

use std::fmt;

use crate::report::Report;
use crate::stand::{CHAINED, DIRECT, HOOP, RULES};
use crate::{api, copy, http, latency, pgbench, sessions, ssh};

/// A goal whose value was measured.
#[derive(Debug)]
struct Goal {
    what: String,
    value: f64,
    bound: Bound,
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(limit) => self.value <= limit,
            Bound::AtLeast(limit) => self.value >= limit,
        }
    }
}

/// Every goal that could be judged, a line each.
#[derive(Debug)]
pub(crate) struct Goals(Vec<Goal>);

impl fmt::Display for Goals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for goal in &self.0 {
            let (sign, limit) = match goal.bound {
                Bound::AtMost(limit) => ("≤", limit),
                Bound::AtLeast(limit) => ("≥", limit),
            };
            let met = if goal.is_met() { "met   " } else { "MISSED" };
            writeln!(f, "{met}  {:.2} {sign} {limit:.2}  {}", goal.value, goal.what)?;
        }
        Ok(())
    }
}

pub(crate) fn judge(report: &Report) -> Goals {
    let added = |metric: &str, peer| Some(report.value(metric, peer)? - report.value(metric, DIRECT)?);
    let share = |metric: &str, peer, of| Some(report.value(metric, peer)? / report.value(metric, of)?);
    let mut goals = Vec::new();
    let mut goal = |what: &str, value: Option<f64>, bound| {
        goals.extend(value.map(|value| Goal { what: what.to_owned(), value, bound }));
    };
    goal("µs added to SELECT 1 at the median, all rules", added(latency::P50, RULES), Bound::AtMost(70.0));
    goal("µs added to SELECT 1 at p99, all rules", added(latency::P99, RULES), Bound::AtMost(300.0));
    for (mode, clients) in [("simple", 1), ("simple", 16), ("prepared", 1), ("prepared", 16)] {
        let metric = pgbench::name(mode, clients);
        goal(&format!("of {CHAINED}: {metric}"), share(&metric, HOOP, CHAINED), Bound::AtLeast(0.85));
    }
    let direct = report.value(copy::RATE, DIRECT).unwrap_or_default();
    goal("MB/s of COPY without rules", report.value(copy::RATE, HOOP), Bound::AtLeast(direct.min(300.0)));
    goal("of that with all rules", share(copy::RATE, RULES, HOOP), Bound::AtLeast(0.85));
    for process in ["gateway", "agent"] {
        for peer in [HOOP, RULES] {
            let metric = copy::peak(process);
            goal(&format!("MB: {metric}, {peer}"), report.value(&metric, peer), Bound::AtMost(64.0));
        }
    }
    goal("ms added to opening a session, all rules", added(sessions::OPEN, RULES), Bound::AtMost(3.0));
    goal("ms: a session among silent clients", report.value(sessions::SILENT, RULES), Bound::AtMost(50.0));
    goal("KiB for an idle session, all rules", report.value(sessions::IDLE, RULES), Bound::AtMost(64.0));
    goal("ms until hoop is there", report.value(api::START, HOOP), Bound::AtMost(30.0));
    goal("ms until the first byte of hoop connect", report.value(api::CONNECT, HOOP), Bound::AtMost(100.0));
    goal("API reads a second", report.value(api::READS, HOOP), Bound::AtLeast(500.0));
    let slower =
        report.value(api::LOGINS, HOOP).zip(report.value(api::QUIET, HOOP)).map(|(with, without)| with / without);
    goal("of the p99 of an API read, while others sign in", slower, Bound::AtMost(2.0));
    for peer in [HOOP, RULES] {
        goal(
            &format!("µs added to a key's echo over SSH at the median, {peer}"),
            added(ssh::P50, peer),
            Bound::AtMost(110.0),
        );
        goal(&format!("µs added to a key's echo over SSH at p99, {peer}"), added(ssh::P99, peer), Bound::AtMost(400.0));
        goal(&format!("ms added to ssh host true, {peer}"), added(ssh::CONNECT, peer), Bound::AtMost(60.0));
        for metric in [ssh::DOWNLOAD, ssh::UPLOAD] {
            goal(&format!("of {DIRECT}: {metric}, {peer}"), share(metric, peer, DIRECT), Bound::AtLeast(0.5));
        }
        goal(&format!("KiB for an idle SSH session, {peer}"), report.value(ssh::IDLE, peer), Bound::AtMost(128.0));
    }
    for peer in [HOOP, RULES] {
        goal(&format!("µs added to a GET at the median, {peer}"), added(http::P50, peer), Bound::AtMost(75.0));
        goal(&format!("of {DIRECT}: {}, {peer}", http::WRK), share(http::WRK, peer, DIRECT), Bound::AtLeast(0.25));
        goal(
            &format!("µs added to a call of gRPC at the median, {peer}"),
            added(http::CALL_P50, peer),
            Bound::AtMost(120.0),
        );
        for transfer in [http::DOWNLOAD, http::UPLOAD] {
            goal(&format!("MB/s of {transfer}, {peer}"), report.value(transfer, peer), Bound::AtLeast(400.0));
            for process in ["gateway", "agent"] {
                let metric = http::peak(process, transfer);
                goal(&format!("MB: {metric}, {peer}"), report.value(&metric, peer), Bound::AtMost(64.0));
            }
        }
        goal(&format!("KiB for an idle connection, {peer}"), report.value(http::CONNECTION, peer), Bound::AtMost(48.0));
        goal(&format!("KiB for an idle WebSocket, {peer}"), report.value(http::SOCKET, peer), Bound::AtMost(48.0));
    }
    goal("ms added to the first byte of JSON, all rules", added(http::FIRST_BYTE, RULES), Bound::AtMost(10.0));
    let masked = report.value(http::GATEWAY_RATE, RULES);
    goal("MB of JSON in a second of the gateway's processor, all rules", masked, Bound::AtLeast(300.0));
    Goals(goals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Row, Unit};

    #[test]
    fn only_what_was_measured_is_judged() {
        let mut report = Report::new([DIRECT, HOOP, RULES].into_iter());
        report.rows.push(Row::new(latency::P50, Unit::Microseconds, vec![Some(30.0), Some(70.0), Some(90.0)]));
        report.rows.push(Row::new(copy::RATE, Unit::MegabytesPerSecond, vec![Some(250.0), Some(200.0), Some(190.0)]));
        let shown = judge(&report).to_string();
        assert_eq!(
            shown,
            "met     60.00 ≤ 70.00  µs added to SELECT 1 at the median, all rules\n\
            MISSED  200.00 ≥ 250.00  MB/s of COPY without rules\n\
            met     0.95 ≥ 0.85  of that with all rules\n"
        );
    }

    #[test]
    fn ssh_is_judged_with_and_without_rules() {
        let mut report = Report::new([DIRECT, HOOP, RULES].into_iter());
        let values = vec![Some(200.0), Some(150.0), Some(90.0)];
        report.rows.push(Row::new(ssh::UPLOAD, Unit::MegabytesPerSecond, values));
        report.rows.push(Row::new(ssh::IDLE, Unit::Kibibytes, vec![None, Some(100.0), Some(130.0)]));
        let shown = judge(&report).to_string();
        assert_eq!(
            shown,
            "met     0.75 ≥ 0.50  of direct: ssh host wc -c < file, hoop\n\
            met     100.00 ≤ 128.00  KiB for an idle SSH session, hoop\n\
            MISSED  0.45 ≥ 0.50  of direct: ssh host wc -c < file, hoop, all rules\n\
            MISSED  130.00 ≤ 128.00  KiB for an idle SSH session, hoop, all rules\n"
        );
    }

    #[test]
    fn http_is_judged_with_and_without_rules_and_masking_with_them() {
        let mut report = Report::new([DIRECT, HOOP, RULES].into_iter());
        report.rows.push(Row::new(http::WRK, Unit::PerSecond, vec![Some(1000.0), Some(300.0), Some(200.0)]));
        report.rows.push(Row::new(http::FIRST_BYTE, Unit::Milliseconds, vec![Some(1.0), Some(40.0), Some(5.0)]));
        let shown = judge(&report).to_string();
        assert_eq!(
            shown,
            "met     0.30 ≥ 0.25  of direct: wrk -t2 -c64, 1 KB, hoop\n\
            MISSED  0.20 ≥ 0.25  of direct: wrk -t2 -c64, 1 KB, hoop, all rules\n\
            met     4.00 ≤ 10.00  ms added to the first byte of JSON, all rules\n"
        );
    }
}
