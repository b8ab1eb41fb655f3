//! Whether the index can be shipped where it should be.

use weir_insurance::seal::Key;

use super::Check;
use crate::config::mistake::{Mistake, Way};
use crate::config::similar::did_you_mean;

impl Check<'_> {
    pub(super) fn insurance(&mut self) {
        let config = self.config;
        let insurance = &config.insurance;
        let way = Way::at(["insurance"]);
        let known: Vec<_> = config.backends.keys().map(String::as_str).collect();
        for (number, id) in insurance.backends.iter().enumerate() {
            let what = match config.backends.get(id) {
                None => {
                    let near = did_you_mean(id, &known);
                    let right = near.map_or_else(
                        || format!("known: {}", known.join(", ")),
                        |near| format!("did you mean {near:?}?"),
                    );
                    self.error(
                        way.key("backends"),
                        format!("there is no backend {id:?}"),
                        right,
                    );
                    continue;
                }
                Some(backend) if backend.read_only => "is read-only and takes no files",
                Some(_) if insurance.backends[..number].contains(id) => "is named twice",
                Some(_) => continue,
            };
            self.error(
                way.key("backends"),
                format!("backend {id:?} {what}"),
                "another backend",
            );
        }
        if insurance.enabled && config.insured_on().len() < 2 {
            self.mistakes.push(Mistake::warning(
                way.key("backends"),
                "the index is shipped to a single backend: when that is lost together with the \
                 index, so is all that is known about the others",
                "two backends that fail apart",
            ));
        }
        let given = (insurance.key_file.as_ref(), insurance.key_env.as_ref());
        let Some((reference, key)) = self.secret(given, "key", false, &way) else {
            return;
        };
        let field = match reference {
            crate::secrets::Reference::File(_) => "key_file",
            crate::secrets::Reference::Variable(_) => "key_env",
        };
        if let Err(error) = Key::parse(&key) {
            self.error(way.key(field), error.to_string(), "");
        }
        if reference.is_world_readable() {
            let what = format!("{reference} can be read by everybody on this machine");
            self.error(way.key(field), what, "chmod 600");
        }
    }
}
