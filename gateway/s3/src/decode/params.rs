//! Query parameters, taken one by one: what is left over was not understood.

use weir_types::{Error, ErrorCode};

use super::invalid_argument;
use crate::gate::Query;
use crate::gate::presigned::is_signature_parameter;

/// The parameters that belong to the operation.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Leaves out the signature, and `x-id`, by which SDKs only name the operation. In a
    /// presigned request `x-amz-…` stand among the headers already.
    pub(super) fn new(query: &Query<'_>, presigned: bool) -> Self {
        let foreign = |name: &str| {
            let amz = name
                .get(..6)
                .is_some_and(|p| p.eq_ignore_ascii_case("x-amz-"));
            name == "x-id" || (presigned && (is_signature_parameter(name) || amz))
        };
        Self(
            query
                .iter()
                .filter(|p| !foreign(&p.name))
                .map(|p| (p.name.clone().into_owned(), p.value.clone().into_owned()))
                .collect(),
        )
    }

    /// Takes a parameter that may stand once.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, Error> {
        let Some(at) = self.0.iter().position(|(n, _)| n == name) else {
            return Ok(None);
        };
        let (_, value) = self.0.swap_remove(at);
        if self.0.iter().any(|(n, _)| n == name) {
            return Err(invalid_argument(
                name,
                &value,
                "A parameter stands more than once.",
            ));
        }
        Ok(Some(value))
    }

    /// As [`Self::take`]; an empty value counts as none.
    pub(super) fn take_filled(&mut self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.take(name)?.filter(|v| !v.is_empty()))
    }

    /// Takes a parameter that names a sub-resource: it stands there, and has no value.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Error> {
        match self.take(name)? {
            None => Ok(false),
            Some(value) if value.is_empty() => Ok(true),
            Some(value) => Err(invalid_argument(
                name,
                &value,
                "The parameter does not take a value.",
            )),
        }
    }

    /// Takes a number between 0 and `i32::MAX`, as S3 reads them.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<u32>, Error> {
        let Some(value) = self.take_filled(name)? else {
            return Ok(None);
        };
        let digits = value.bytes().all(|b| b.is_ascii_digit());
        match value.parse::<u32>() {
            Ok(number) if digits && number <= i32::MAX.unsigned_abs() => Ok(Some(number)),
            _ => Err(invalid_argument(
                name,
                &value,
                "The parameter must be an integer between 0 and 2147483647.",
            )),
        }
    }

    /// `versionId`: buckets are unversioned, their one version is called `null`.
    pub(super) fn null_version(&mut self) -> Result<(), Error> {
        match self.take("versionId")?.as_deref() {
            None | Some("null") => Ok(()),
            Some(other) => Err(bad_version(other)),
        }
    }

    /// Refuses what no decoder took.
    pub(super) fn finish(&self) -> Result<(), Error> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Error::new(
                ErrorCode::NotImplemented,
                "A query parameter implies functionality that is not implemented.",
            )
            .with("QueryParameter", name.as_str())),
        }
    }
}

/// AWS knows ids that could be ids and do not exist from those that cannot be any.
pub(super) fn bad_version(id: &str) -> Error {
    let plausible = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'_';
    if id.len() == 32 && id.bytes().all(plausible) {
        Error::from(ErrorCode::NoSuchVersion).with("VersionId", id)
    } else {
        invalid_argument("versionId", id, "Invalid version id specified")
    }
}
