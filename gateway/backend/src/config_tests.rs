use crate::{BackendConfig, FsConfig, PayloadSigning, S3Config};

fn parse(text: &str) -> Result<BackendConfig, String> {
    toml::from_str(text).map_err(|e| e.to_string())
}

const S3: &str = "kind = \"s3\"\nendpoint = \"https://x\"\nbucket = \"b\"\n\
                  access_key_id = \"id\"\nsecret_access_key = \"hidden\"\n";

#[test]
fn only_what_has_no_default_must_be_said() {
    let fs = parse("kind = \"fs\"\npath = \"/data\"");
    assert_eq!(fs, Ok(BackendConfig::Fs(FsConfig::at("/data"))));
    let wanted = S3Config::at("https://x", "b", "id", "hidden".to_owned().into());
    assert_eq!(parse(S3), Ok(BackendConfig::S3(Box::new(wanted))));
    let Ok(BackendConfig::S3(streaming)) =
        parse(&format!("{S3}http_payload_signing = \"streaming\""))
    else {
        panic!("not an s3 backend");
    };
    assert_eq!(streaming.http_payload_signing, PayloadSigning::Streaming);
}

#[test]
fn unknown_kinds_and_fields_are_refused() {
    for (text, named) in [
        ("kind = \"ftp\"\npath = \"/data\"", "ftp"),
        ("kind = \"fs\"\npath = \"/data\"\nslots = 3", "slots"),
        ("kind = \"fs\"", "path"),
        ("path = \"/data\"", "kind"),
        (&format!("{S3}slot_max = 3"), "slot_max"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.contains(named), "{error}");
    }
}
