//! Credential scopes: `access key id/day/region/service/aws4_request`.

/// A credential scope, in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope<'a> {
    /// The whole text.
    pub(crate) credential: &'a str,
    pub(crate) access_key_id: &'a str,
    pub(crate) day: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    /// Without the access key id: as it stands in the string to sign.
    pub(crate) text: &'a str,
}

/// Which rule a scope breaks; fit to be shown to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadScope {
    /// Not five pieces, or pieces that cannot be.
    Shape,
    /// Another region than the gateway's.
    Region(String),
    /// Another service than S3.
    Service(String),
    /// Another day than the request's.
    Day(String),
}

impl<'a> Scope<'a> {
    /// Splits; says nothing yet about whether the pieces are right.
    pub(crate) fn parse(credential: &'a str) -> Result<Self, BadScope> {
        let (access_key_id, text) = credential.split_once('/').ok_or(BadScope::Shape)?;
        let mut pieces = text.split('/');
        let mut next = || {
            pieces
                .next()
                .filter(|p| !p.is_empty())
                .ok_or(BadScope::Shape)
        };
        let (day, region, service, end) = (next()?, next()?, next()?, next()?);
        let longest = credential.len() <= 256;
        if access_key_id.is_empty() || end != "aws4_request" || pieces.next().is_some() || !longest
        {
            return Err(BadScope::Shape);
        }
        Ok(Self {
            credential,
            access_key_id,
            day,
            region,
            service,
            text,
        })
    }

    /// Checks service, region and day.
    pub(crate) fn check(&self, is_ours: impl Fn(&str) -> bool, day: &str) -> Result<(), BadScope> {
        if self.service != "s3" {
            return Err(BadScope::Service(self.service.to_owned()));
        }
        if !is_ours(self.region) {
            return Err(BadScope::Region(self.region.to_owned()));
        }
        if self.day != day {
            return Err(BadScope::Day(self.day.to_owned()));
        }
        Ok(())
    }
}

impl BadScope {
    /// What the client is told.
    pub(crate) fn message(&self, region: &str) -> String {
        match self {
            Self::Shape => "The credential must be of the form \
                            access-key-id/yyyymmdd/region/s3/aws4_request."
                .to_owned(),
            Self::Region(given) => {
                format!("The region '{given}' is wrong; expecting '{region}'.")
            }
            Self::Service(given) => format!("The service '{given}' is wrong; expecting 's3'."),
            Self::Day(given) => {
                format!("The credential date '{given}' is not the date of the request.")
            }
        }
    }
}
