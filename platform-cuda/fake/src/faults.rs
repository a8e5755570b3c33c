//! Rules by which calls fail: `NAME:K:CODE[:once|always|lost]`. Floor: cellar.
//!
//! The K-th call of a name, counted from 1 and from when the rule was added, gives CODE and does nothing
//! else. `*` is any name. `always` goes on from there, and after `lost` every later call gives CODE too.

/// What a rule does to a call.
pub struct Failure {
    /// What the call gives.
    pub code: u32,
    /// All later calls give it too.
    pub is_lasting: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Once,
    Always,
    Lost,
}

struct Rule {
    name: String,
    remaining: u64,
    code: u32,
    mode: Mode,
}

/// The rules in force.
#[derive(Default)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Adds a rule. False if it makes no sense.
    pub fn add(&mut self, text: &str) -> bool {
        let parts: Vec<&str> = text.split(':').collect();
        let (&[name, k, code] | &[name, k, code, _]) = &parts[..] else { return false };
        let (Ok(remaining @ 1..), Ok(code @ 1..)) = (k.parse(), code.parse()) else {
            return false;
        };
        let mode = match parts.get(3) {
            None | Some(&"once") => Mode::Once,
            Some(&"always") => Mode::Always,
            Some(&"lost") => Mode::Lost,
            _ => return false,
        };
        self.0.push(Rule { name: name.into(), remaining, code, mode });
        true
    }

    /// Removes all rules.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Counts a call in all rules. The first rule that is due decides.
    pub fn judge(&mut self, call: &str) -> Option<Failure> {
        let mut failure = None;
        self.0.retain_mut(|rule| {
            if rule.name != "*" && rule.name != call {
                return true;
            }
            rule.remaining = rule.remaining.saturating_sub(1);
            if rule.remaining > 0 {
                return true;
            }
            let is_lasting = rule.mode == Mode::Lost;
            failure.get_or_insert(Failure { code: rule.code, is_lasting });
            rule.mode == Mode::Always
        });
        failure
    }
}
