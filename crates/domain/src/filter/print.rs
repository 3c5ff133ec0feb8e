//! Terms into the text that is read back as the same terms.

use super::{Compare, Filter, Pattern, Term, Test, lex::quote};
use crate::standing::Standing;
use std::fmt;
use std::time::Duration;

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, term) in self.terms.iter().enumerate() {
            let blank = if at == 0 { "" } else { " " };
            write!(f, "{blank}{term}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minus = if self.negated { "-" } else { "" };
        write!(f, "{minus}{}:", self.test.qualifier())?;
        match &self.test {
            Test::Standing(asked) if *asked == Standing::LIVE => f.write_str("live"),
            Test::Standing(asked) if *asked == Standing::ENDED => f.write_str("ended"),
            Test::Standing(asked) => f.write_str(&asked.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(",")),
            Test::State(asked) => f.write_str(&asked.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(",")),
            Test::Queue(text) | Test::Kind(text) | Test::Owner(text) | Test::Worker(text) => f.write_str(text),
            Test::Recording(Pattern::Exact(text)) => f.write_str(text),
            Test::Recording(Pattern::Prefix(text)) => write!(f, "{text}*"),
            Test::Error(text) => f.write_str(&quote(text)),
            Test::Attempt(compare, number) => write!(f, "{}{number}", sign(*compare)),
            Test::Age(compare, time) => write!(f, "{}{}", sign(*compare), duration(*time)),
        }
    }
}

fn sign(compare: Compare) -> &'static str {
    match compare {
        Compare::Equal => "",
        Compare::Above => ">",
        Compare::AtLeast => ">=",
        Compare::Below => "<",
        Compare::AtMost => "<=",
    }
}

/// In the largest unit that has no rest.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let fits = units.iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{seconds}s"), |(unit, word)| format!("{}{word}", seconds / unit))
}
