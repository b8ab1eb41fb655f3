//! The tiers: how they are read from the settings, and what each takes.

use serde::Deserialize;
use weir_plugin_sdk::Facts;
use weir_plugin_sdk::settings::Settings;

const DAY_MS: u64 = 86_400_000;
/// The class of objects that name none.
const STANDARD: &str = "STANDARD";

/// A set of backends with the objects that belong there.
#[derive(Debug)]
pub(crate) struct Tier {
    pub(crate) name: String,
    /// Indices of backends, the first to be used first; at least one.
    pub(crate) backends: Vec<u32>,
    classes: Vec<String>,
    size_bytes_min: u64,
    size_bytes_max: u64,
    age_ms_min: u64,
}

/// What tiers look at.
pub(crate) struct Subject<'a> {
    /// `None` when the client has not said; every size fits then.
    pub(crate) size_bytes: Option<u64>,
    pub(crate) age_ms: u64,
    pub(crate) class: Option<&'a str>,
}

impl Tier {
    /// Whether the subject meets all conditions.
    pub(crate) fn takes(&self, subject: &Subject<'_>) -> bool {
        let sizes = self.size_bytes_min..=self.size_bytes_max;
        let class = subject.class.unwrap_or(STANDARD);
        subject.size_bytes.is_none_or(|size| sizes.contains(&size))
            && subject.age_ms >= self.age_ms_min
            && (self.classes.is_empty() || self.classes.iter().any(|own| own == class))
    }
}

/// A tier as the operator writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    backends: Vec<String>,
    #[serde(default)]
    classes: Vec<String>,
    #[serde(default)]
    size_bytes_min: u64,
    #[serde(default = "no_limit")]
    size_bytes_max: u64,
    #[serde(default)]
    age_days_min: u32,
}

fn no_limit() -> u64 {
    u64::MAX
}

/// The tiers of the settings; every mistake is noted there.
pub(crate) fn read(settings: &mut Settings, facts: &Facts) -> Vec<Tier> {
    let rules: Vec<Rule> = settings.read("tiers").unwrap_or_default();
    if rules.is_empty() {
        settings.mistake("tiers", "must be a list of at least one tier");
    }
    let mut tiers = Vec::with_capacity(rules.len());
    for (at, rule) in rules.into_iter().enumerate() {
        let path = format!("tiers/{at}");
        if rule.backends.is_empty() {
            settings.mistake(&format!("{path}/backends"), "must name a backend");
        }
        if rule.size_bytes_min > rule.size_bytes_max {
            let message = "is larger than size_bytes_max";
            settings.mistake(&format!("{path}/size_bytes_min"), message);
        }
        tiers.push(Tier {
            name: rule.name,
            backends: settings.indices(&format!("{path}/backends"), &rule.backends, facts),
            classes: rule.classes,
            size_bytes_min: rule.size_bytes_min,
            size_bytes_max: rule.size_bytes_max,
            age_ms_min: u64::from(rule.age_days_min) * DAY_MS,
        });
    }
    tiers
}
