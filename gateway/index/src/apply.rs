//! What each mutation checks and changes: the rules of [`Mutation`], written once for every
//! engine.

mod bucket;
mod copy;
mod expire;
mod intent;
mod outbox;
mod part;
mod upload;
mod version;

use weir_types::index::{Applied, IndexError, Mutation, Refusal};
use weir_types::record::Work;

use crate::keys;
use crate::rows;
use crate::store::Table;
use crate::txn::Txn;

/// Applies one mutation. On an error the caller takes back what was changed so far.
pub(crate) fn apply(txn: &mut Txn<'_>, mutation: Mutation) -> Result<Applied, IndexError> {
    match mutation {
        Mutation::All(all) => {
            let applied = all.into_iter().map(|mutation| apply(txn, mutation));
            Ok(Applied::All(applied.collect::<Result<_, _>>()?))
        }

        Mutation::CreateBucket {
            name,
            owner,
            location,
            now,
        } => bucket::create(txn, name, owner, location, now).map(Applied::Bucket),
        Mutation::DeleteBucket { name, now } => done(bucket::delete(txn, &name, now)),

        Mutation::Begin { intents } => done(
            intents
                .iter()
                .try_for_each(|intent| intent::put(txn, intent)),
        ),
        Mutation::BeginReplica {
            intent,
            blob,
            backend,
            now,
        } => intent::begin_replica(txn, intent, blob, backend, now).map(Applied::Intent),
        Mutation::SetBackendUpload {
            intent,
            backend_upload,
        } => done(intent::set_backend_upload(txn, intent, backend_upload)),
        Mutation::Condemn {
            intents,
            last_look_at,
            now,
        } => {
            let mut each = intents.into_iter();
            done(each.try_for_each(|intent| intent::condemn(txn, intent, last_look_at, now)))
        }
        Mutation::DropIntents { intents } => done(
            intents
                .into_iter()
                .try_for_each(|intent| intent::drop(txn, intent)),
        ),

        Mutation::CommitVersion(commit) => version::commit(txn, *commit),
        Mutation::DeleteCurrent {
            bucket,
            key,
            if_match,
            now,
            clean_at,
        } => version::delete_current(txn, &bucket, &key, if_match, now, clean_at),

        Mutation::AddCopy { blob, copy, intent } => done(copy::add(txn, blob, copy, intent)),
        Mutation::MarkCopy {
            blob,
            backend,
            attempt,
            state,
            now,
        } => done(copy::mark(txn, blob, &backend, attempt, state, now)),
        Mutation::RemoveCopy {
            blob,
            backend,
            attempt,
            now,
            discard_at,
        } => done(copy::remove(txn, blob, &backend, attempt, now, discard_at)),
        Mutation::RetireBlob { blob, now } => done(copy::retire(txn, blob, now)),

        Mutation::CreateUpload { upload } => done(upload::create(txn, &upload)),
        Mutation::PutPart { upload, part, crcs } => done(part::put(txn, upload, &part, &crcs)),
        Mutation::DropPart { upload, number } => done(part::drop(txn, upload, number)),
        Mutation::BeginComplete {
            upload,
            parts,
            draft,
            conditions,
            now,
            resume_at,
        } => upload::begin_complete(txn, upload, &parts, draft, &conditions, now, resume_at),
        Mutation::AbortUpload {
            upload,
            only_open,
            now,
        } => done(upload::abort(txn, upload, only_open, now)),
        Mutation::FinishAbort {
            upload,
            last_look_at,
            now,
        } => done(upload::finish_abort(txn, upload, last_look_at, now)),

        Mutation::Enqueue {
            work,
            now,
            not_before,
        } => {
            outbox::enqueue(txn, work, now, not_before);
            Ok(Applied::Done)
        }
        Mutation::FinishWork { id } => done(outbox::finish(txn, id)),
        Mutation::DeferWork {
            id,
            not_before,
            error,
        } => done(outbox::defer(txn, id, not_before, error)),
        Mutation::NoteClock(note) => {
            txn.put(Table::Meta, rows::CLOCK.to_vec(), &note);
            Ok(Applied::Done)
        }
        Mutation::NoteScrub { backend, scrub } => {
            txn.put(Table::Meta, keys::scrub(&backend), &*scrub);
            Ok(Applied::Done)
        }
        Mutation::Expire { before, limit } => {
            let more = expire::expire(txn, before, limit)?;
            Ok(Applied::Expired { more })
        }
    }
}

/// Whether a mutation begins something that takes room in the index. While the disk is nearly
/// full these are refused; what frees room, or ends what was begun, goes on.
pub(crate) fn takes_space(mutation: &Mutation) -> bool {
    use weir_types::index::CommitContent;
    match mutation {
        Mutation::All(all) => all.iter().any(takes_space),
        Mutation::CreateBucket { .. }
        | Mutation::Begin { .. }
        | Mutation::BeginReplica { .. }
        | Mutation::CreateUpload { .. }
        | Mutation::PutPart { .. }
        | Mutation::BeginComplete { .. } => true,
        Mutation::CommitVersion(commit) => matches!(commit.content, CommitContent::Shared { .. }),
        Mutation::Enqueue { work, .. } => {
            matches!(work, Work::Replicate { .. } | Work::Repair { .. })
        }
        Mutation::DeleteBucket { .. }
        | Mutation::SetBackendUpload { .. }
        | Mutation::Condemn { .. }
        | Mutation::DropIntents { .. }
        | Mutation::DeleteCurrent { .. }
        | Mutation::AddCopy { .. }
        | Mutation::MarkCopy { .. }
        | Mutation::RemoveCopy { .. }
        | Mutation::RetireBlob { .. }
        | Mutation::DropPart { .. }
        | Mutation::AbortUpload { .. }
        | Mutation::FinishAbort { .. }
        | Mutation::FinishWork { .. }
        | Mutation::DeferWork { .. }
        | Mutation::NoteClock(_)
        | Mutation::NoteScrub { .. }
        | Mutation::Expire { .. } => false,
    }
}

fn done(result: Result<(), IndexError>) -> Result<Applied, IndexError> {
    result.map(|()| Applied::Done)
}

fn refuse<T>(refusal: Refusal) -> Result<T, IndexError> {
    Err(IndexError::Refused(refusal))
}

#[cfg(test)]
pub(crate) mod tests;
