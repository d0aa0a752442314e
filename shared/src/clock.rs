//! Clock skew, and its messages for operators.

/// Clock skew in seconds between an agent and its hub above which it is reported. Whatever depends on the
/// clock, such as certificates and change windows, has to tolerate less.
pub const FAR_APART: i64 = 300;

/// Returns `seconds` if the skew is above [`FAR_APART`].
#[must_use]
pub fn far_apart(seconds: i64) -> Option<i64> {
    (seconds.unsigned_abs() > FAR_APART.unsigned_abs()).then_some(seconds)
}

/// Returns `1h 2m ahead of` or `8d behind`: only the two greatest units, so that a message's travel time does not show.
#[must_use]
pub fn off_by(seconds: i64) -> String {
    let minutes = seconds.unsigned_abs() / 60;
    let (days, hours, rest) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let [first, second] = match (days, hours) {
        (0, 0) => [(rest, "m"), (0, "")],
        (0, _) => [(hours, "h"), (rest, "m")],
        _ => [(days, "d"), (hours, "h")],
    };
    let more = match second {
        (0, _) => String::new(),
        (number, unit) => format!(" {number}{unit}"),
    };
    let which = if seconds < 0 { "behind" } else { "ahead of" };
    format!("{}{}{more} {which}", first.0, first.1)
}

/// Hint for clock skew; `who`: whose clocks differ.
#[must_use]
pub fn let_run_ntp(who: &str) -> String {
    format!("run NTP on {who}: certificates, soaks and change windows depend on the clock")
}

/// Message about an agent's clock skew.
#[must_use]
pub fn agent_clock(seconds: i64) -> String {
    format!(
        "the agent's clock is {} the hub's; {}",
        off_by(seconds),
        let_run_ntp("both")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_clock_is_how_far_it_is_off() {
        for (seconds, text) in [
            (301, "5m ahead of"),
            (-3600, "1h behind"),
            (3725, "1h 2m ahead of"),
            (8 * 86_400 + 59, "8d ahead of"),
            (-(86_400 + 7200), "1d 2h behind"),
        ] {
            assert_eq!(off_by(seconds), text);
        }
        // The extremes do not overflow.
        assert!(off_by(i64::MIN).ends_with("behind"));
    }

    #[test]
    fn five_minutes_are_no_news() {
        for seconds in [0, 300, -300] {
            assert_eq!(far_apart(seconds), None);
        }
        for seconds in [301, -301, i64::MIN, i64::MAX] {
            assert_eq!(far_apart(seconds), Some(seconds));
        }
    }
}
