//! A line of a script as a value.

use std::time::Duration;

use super::notation::Notation;

/// When a line happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum When {
    /// Between these, from the start.
    Absolute(Duration, Duration),
    /// Between these, from the line before.
    Relative(Duration, Duration),
}

/// What a line says.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Action {
    /// The peer sends this.
    Inject(Notation),
    /// The endpoint sends this.
    Expect(Notation),
    /// A verb and its words.
    Verb(Vec<String>),
}

/// A line of a script.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Line {
    pub(super) when: When,
    pub(super) action: Action,
}

/// Reads a line; `None` if it is empty.
pub(super) fn parse(text: &str) -> Result<Option<Line>, String> {
    let text = text.split('#').next().unwrap_or_default();
    let mut words = text.split_whitespace().peekable();
    let Some(first) = words.peek() else {
        return Ok(None);
    };
    let mut when = When::Relative(Duration::ZERO, Duration::ZERO);
    if first.starts_with(|c: char| c.is_ascii_digit() || c == '+') {
        when = parse_when(first)?;
        words.next();
    }
    let rest: Vec<String> = words.map(str::to_owned).collect();
    let action = match rest.split_first() {
        None => return Err("a time, but nothing happens".to_owned()),
        Some((arrow, packet)) if arrow == "<" => Action::Inject(Notation::parse(packet)?),
        Some((arrow, packet)) if arrow == ">" => Action::Expect(Notation::parse(packet)?),
        Some(_) => Action::Verb(rest),
    };
    Ok(Some(Line { when, action }))
}

fn parse_when(word: &str) -> Result<When, String> {
    let (is_relative, span) = match word.strip_prefix('+') {
        Some(span) => (true, span),
        None => (false, word),
    };
    let (from, to) = match span.split_once("..") {
        Some((from, to)) => (parse_seconds(from)?, parse_seconds(to)?),
        None => (parse_seconds(span)?, parse_seconds(span)?),
    };
    if from > to {
        return Err(format!("{word} ends before it begins"));
    }
    Ok(if is_relative {
        When::Relative(from, to)
    } else {
        When::Absolute(from, to)
    })
}

/// Seconds, as `0.25`.
pub(super) fn parse_seconds(word: &str) -> Result<Duration, String> {
    let seconds: f64 = word.parse().map_err(|_| format!("{word} is no time"))?;
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("{word} is no time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(text: &str) -> When {
        parse(text).expect("a line").expect("not empty").when
    }

    #[test]
    fn times_are_absolute_relative_or_missing() {
        let [half, one] = [500, 1_000].map(Duration::from_millis);
        assert_eq!(when("0.5 quiet"), When::Absolute(half, half));
        assert_eq!(when("+0.5..1 > A"), When::Relative(half, one));
        assert_eq!(when("0.5..1.0 > A"), When::Absolute(half, one));
        assert_eq!(
            when("quiet"),
            When::Relative(Duration::ZERO, Duration::ZERO)
        );
    }

    #[test]
    fn comments_and_empty_lines_say_nothing() {
        assert_eq!(parse("   # all is well"), Ok(None));
        assert_eq!(parse(""), Ok(None));
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in [
            "1.0",
            "1..0 > A",
            "< NOPE",
            "< D 5",
            "< A bogus 3",
            "1.x quiet",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
