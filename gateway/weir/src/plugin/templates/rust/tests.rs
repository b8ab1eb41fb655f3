use weir_plugin_sdk::testing;

use super::*;

fn policy(settings: &str) -> Result<PluginType, Vec<ConfigError>> {
    PluginType::configure(settings, testing::facts(&["a", "b", "c"]))
}

#[test]
fn mistakes_are_listed() {
    let mistakes = policy(r#"{"prefer": ["a", "x"], "y": 1}"#).expect_err("two mistakes");
    let paths: Vec<_> = mistakes.iter().map(|m| m.path.as_str()).collect();
    assert_eq!(paths, ["/prefer/1", "/y"]);
}
