/*
 * Lease, phases and store of one file: every interleaving of two workers, a purge worker, a removal, a user and a store
 * that does what real ones were seen to do. What it shows and what it leaves out stands in README.md.
 *
 * A comment of the form "// Class.method" names the code in apps/api/src/storage that the step below it models. A step
 * is one statement of the database or one request of the store; between two of them anybody else may run, the process
 * may die, and its lease may run out.
 */

#ifndef FAULTS
#define FAULTS 2 /* Deaths, leases that run out, errors, requests without effect: in all, at any step. */
#endif
#ifndef ASKS
#define ASKS 2 /* What the user does: delete, delete for good, restore, ask again. */
#endif
#define PARTS 2
#define UPLOADS 5 /* A fault or an ask brings one new upload at most. */

#define NOBODY 0
#define PURGE_WORKER 3
#define REMOVAL 4

mtype = { PENDING, TRANSFERRING, DONE, FAILED, REMOVED };
/* HALF: Complete has made the object, and the upload is still there with its parts under it. */
mtype = { UNBORN, OPEN, HALF, GONE };

byte faults = FAULTS, asks = ASKS;

/* The row. */
mtype status = PENDING;
bool isDeleted, isRemovalAsked;
byte leaseOf = NOBODY; /* The lease token. */
bool isLeaseOut;
byte uploadId;
bool completing;
/* The purge table: entries by their upload. */
bool purge[UPLOADS + 1];

/* The store. */
byte born;
mtype upload[UPLOADS + 1] = UNBORN;
byte parts[UPLOADS + 1];
bool inProgress[UPLOADS + 1]; /* A Complete was received, and nobody knows yet what becomes of it. */
byte object; /* What HEAD shows: the upload that made it, told by the token. */
bool isReadable; /* Whether its bytes are there. */

/* The processes. */
bool isBusy[5], isKilled[5];

#define IS_UNLEASED (leaseOf == NOBODY || isLeaseOut)
#define IS_LEFT(id) ((upload[id] == OPEN && parts[id] > 0) || (upload[id] == HALF && object != id))
#define IS_KNOWN(id) (!IS_LEFT(id) || purge[id])

/* Checked wherever row or object change. */
#define CHECK_RULE_1 assert(status != DONE || (object != 0 && isReadable))
/* Checked wherever a transfer ends FAILED: what is left has its entry. */
#ifdef RULE_1_ALONE
#define CHECK_RULE_2 skip
#else
#define CHECK_RULE_2 \
  assert(IS_KNOWN(1) && IS_KNOWN(2) && IS_KNOWN(3) && IS_KNOWN(4) && IS_KNOWN(5) && (object == 0 || purge[object]))
#endif

/* The switches: each takes one thing away. */

/* Nobody ends a transfer whose file was deleted while no worker was at it. */
#ifdef DELETED_IS_LEFT
#define IS_WAITING ((status == PENDING || status == TRANSFERRING) && !isDeleted)
#else
#define IS_WAITING (status == PENDING || status == TRANSFERRING)
#endif
/* The purge worker begins while the store may still be at a Complete. */
#ifdef HASTY_PURGE
#define IS_OVER(id) true
#else
#define IS_OVER(id) !inProgress[id]
#endif
/* A refusal counts although an earlier Complete of the upload had no answer. */
#ifdef HASTY_REFUSAL
#define IS_SETTLED(id) true
#else
#define IS_SETTLED(id) !inProgress[id]
#endif
/* The purge worker does not look whether a row holds the path. */
#ifdef BLIND_PURGE
#define IS_FREE true
#else
#define IS_FREE (status == REMOVED || status == DONE || ((status == FAILED || isDeleted) && IS_UNLEASED))
#endif
#define IS_DUE(id) (purge[id] && IS_OVER(id) && IS_FREE)
/* An object of any try of the file counts, and not only one of the upload that the row names. */
#ifdef ANY_TRY
#define IS_SHOWN(id) (object != 0)
#else
#define IS_SHOWN(id) (object == id)
#endif
/* A process sleeps for a lease between its check and the Complete that follows, or does not check. */
#ifdef LATE_COMPLETE
#define MAY_COMPLETE(who) true
#else
#define MAY_COMPLETE(who) (leaseOf == who)
#endif
/* The same for a DELETE. */
#ifdef LATE_DELETE
#define MAY_DELETE(who) true
#else
#define MAY_DELETE(who) (leaseOf == who)
#endif
/* markDone does not name the lease token. */
#ifdef WITHOUT_FENCE
#define MAY_FINISH(who) true
#else
#define MAY_FINISH(who) (leaseOf == who)
#endif
/* WITHOUT_COMPLETING: the row does not say that Complete is about to be sent. */
/* WITHOUT_UPLOAD_ID: the row does not say which upload the parts go to. */
/* ABORT_BEFORE_FORGETTING: a worker aborts an upload that the row still names. */
/* PURGE_KEEPS_ID: so does the purge worker. */
/* ONE_LOOK: what HEAD showed before ListParts said that the upload is gone still counts after it. */
/* HASTY_REMOVAL: no purge entry outlives the row of a file whose Complete may be under way. */

/* The lease token is its owner's. */
inline lease(who) { leaseOf = who; isLeaseOut = false; isBusy[who] = true }

/* The requests of the store that change something. */

inline receiveCreate(id) { born < UPLOADS -> born++; id = born; upload[id] = OPEN }

/* While one is in progress the next is answered by 500, as Ceph does. After it the next can destroy what it made. */
inline receiveComplete(id) {
  if
  :: upload[id] == OPEN -> inProgress[id] = true
  :: upload[id] == HALF -> destroy(id); upload[id] = GONE; parts[id] = 0
  :: else -> skip
  fi
}

inline receiveAbort(id) {
  if
  :: upload[id] == HALF -> destroy(id)
  :: else -> skip
  fi;
  if
  :: id != 0 -> upload[id] = GONE; parts[id] = 0
  :: else -> skip
  fi
}

/* HEAD goes on showing it. */
inline destroy(id) {
  if
  :: object == id -> isReadable = false; CHECK_RULE_1
  :: else -> skip
  fi
}

inline receiveDelete() {
  if
  :: object != 0 -> upload[object] = GONE; parts[object] = 0 /* The parts are the object's bytes. */
  :: else -> skip
  fi;
  object = 0;
  isReadable = false;
  CHECK_RULE_1
}

/* What becomes of a Complete that was received, whether its sender still listens or not. */
proctype Store(byte id) {
  end: do
  :: atomic {
       inProgress[id] ->
       if
       :: upload[id] == OPEN -> object = id; isReadable = true; upload[id] = GONE; parts[id] = 0 /* The object is made. */
       :: upload[id] == OPEN -> object = id; isReadable = true; upload[id] = HALF /* The object is made, the upload stays. */
       :: faults > 0 -> faults-- /* Lost: nothing was made. */
       :: upload[id] == GONE -> object = id; isReadable = false /* Aborted meanwhile: HEAD shows it all the same. */
       :: upload[id] == GONE -> skip
       fi;
       inProgress[id] = false;
       CHECK_RULE_1
     }
  od
}

proctype Worker(byte me) {
  byte id;
  bool wasCompleting, isGivenUp;

  end: do
  :: atomic {
       // TransferStateRepository.claim
       IS_WAITING && IS_UNLEASED -> lease(me);
       status = TRANSFERRING;
       id = uploadId;
       wasCompleting = completing
     };
     {
       // TakeUp.examine
       if
       :: wasCompleting && id != 0 -> goto settle
       :: wasCompleting && id == 0 -> goto start_over
       :: !wasCompleting && isDeleted -> goto give_up
       :: !wasCompleting && !isDeleted && id != 0 -> goto send /* Resumed: ObjectProof.listParts says what is there. */
       :: else -> skip
       fi;

begin:
       // PartSender.begin
       atomic { receiveCreate(id) };
#ifndef WITHOUT_UPLOAD_ID
       atomic {
         // TransferStateRepository.setUpload
         if
         :: leaseOf == me -> uploadId = id
         :: else -> purge[id] = true; goto over
         fi
       };
#endif

send:
       do
       :: atomic {
            // PartSender.sendPart
            upload[id] == OPEN && parts[id] < PARTS -> parts[id]++
          }
       :: atomic { parts[id] == PARTS || upload[id] == HALF -> break }
       :: upload[id] == GONE -> goto start_over /* NoSuchUpload. */
       :: atomic { faults > 0 -> faults--; goto try_later }
       :: atomic { faults > 0 -> faults--; goto give_up }
          // LeaseKeeper.renew
       :: isDeleted -> goto give_up
       od;

       atomic {
         // TransferStateRepository.setCompleting
         if
         :: leaseOf == me ->
#ifndef WITHOUT_COMPLETING
            completing = true
#else
            skip
#endif
         :: else -> goto over
         fi
       };
       atomic {
         // UploadOutcome.complete
         if
         :: MAY_COMPLETE(me) -> receiveComplete(id)
         :: else -> goto over
         fi
       };

settle:
       // UploadOutcome.takeUpComplete
       do
       :: IS_SHOWN(id) -> break
       :: atomic {
            // ObjectCompletion.settle
            !IS_SHOWN(id) && !inProgress[id] && upload[id] == OPEN ->
            if
            :: MAY_COMPLETE(me) -> receiveComplete(id)
            :: else -> goto over
            fi
          }
#ifdef ONE_LOOK
       :: !IS_SHOWN(id) ->
          if
          :: upload[id] == GONE -> goto start_over
          :: else -> skip
          fi
#else
       :: !IS_SHOWN(id) && !inProgress[id] && upload[id] == GONE -> goto start_over
#endif
       :: atomic { !IS_SHOWN(id) && IS_SETTLED(id) && faults > 0 -> faults--; goto give_up } /* Refused for good. */
       :: atomic { !IS_SHOWN(id) && faults > 0 -> faults--; goto try_later } /* UPLOAD_OUTCOME_UNKNOWN */
       :: atomic { !IS_SHOWN(id) && faults > 0 -> faults--; goto fail_unknown } /* The same, and the last try. */
       od;

       // UploadOutcome.prove
       // ObjectProof.isReadable
       if
       :: IS_SHOWN(id) -> skip /* Read, even where !isReadable: Ceph destroys at once and tells hours later. */
       :: IS_SHOWN(id) && !isReadable -> goto remove_broken
       :: !IS_SHOWN(id) -> goto settle
       fi;
       atomic {
         // TransferStateRepository.markDone
         if
         :: MAY_FINISH(me) ->
            status = DONE;
            leaseOf = NOBODY;
            uploadId = 0;
            completing = false;
            purge[id] = false;
            CHECK_RULE_1
         :: else -> skip
         fi;
         goto over
       };

remove_broken:
       atomic {
         // ObjectCleaner.removeObject
         if
         :: MAY_DELETE(me) -> receiveDelete()
         :: else -> goto over
         fi
       };
       goto start_over;

give_up:
       isGivenUp = true;
#ifdef PURGE_KEEPS_ID
       if
       :: id == 0 -> skip
       :: id != 0 -> goto fail_unknown
       fi;
#endif
start_over:
#ifdef ABORT_BEFORE_FORGETTING
       atomic { receiveAbort(id) };
#endif
       atomic {
         // TransferStateRepository.detachUpload
         if
         :: leaseOf == me -> uploadId = 0; completing = false; purge[id] = (id != 0)
         :: else -> goto over
         fi
       };
#ifndef ABORT_BEFORE_FORGETTING
       // ObjectCleaner.discardParts
       if
       :: atomic { true -> receiveAbort(id) }
       :: atomic { faults > 0 -> faults--; goto fail } /* The store is away. */
       fi;
#endif
       purge[id] = false;
       if
       :: !isGivenUp && !isDeleted -> goto begin
       :: else -> skip
       fi;
fail:
       atomic {
         // TransferStateRepository.markFailed
         if
         :: leaseOf == me -> status = FAILED; leaseOf = NOBODY; CHECK_RULE_2
         :: else -> skip
         fi;
         goto over
       };
fail_unknown:
       atomic {
         // TransferStateRepository.markFailed
         if
         :: leaseOf == me -> status = FAILED; leaseOf = NOBODY; purge[id] = true; CHECK_RULE_2
         :: else -> skip
         fi;
         goto over
       };
try_later:
       atomic {
         // TransferStateRepository.requeue
         if
         :: leaseOf == me -> status = PENDING; leaseOf = NOBODY
         :: else -> skip
         fi
       };
over:
       skip
     } unless { isKilled[me] };
     d_step { isKilled[me] = false; isBusy[me] = false; id = 0; wasCompleting = false; isGivenUp = false }
  od
}

/* Removes what entries of the purge table tell of. */
proctype PurgeWorker() {
  byte id;
  bool isQuiet;

  end: do
  :: atomic {
       // PurgeRepository.take
       if
       :: IS_DUE(1) -> id = 1
       :: IS_DUE(2) -> id = 2
       :: IS_DUE(3) -> id = 3
       :: IS_DUE(4) -> id = 4
       :: IS_DUE(5) -> id = 5
       fi;
       isBusy[PURGE_WORKER] = true;
       // PurgeRepository.findHolder
       if
#ifdef BLIND_PURGE
       :: true -> goto unowned
#else
       :: status == REMOVED -> goto unowned
       :: status == DONE -> goto beside
#endif
       :: else ->
          // TransferStateRepository.claimForPurge
          lease(PURGE_WORKER);
#ifndef PURGE_KEEPS_ID
          if
          :: uploadId == id -> uploadId = 0; completing = false
          :: else -> skip
          fi
#endif
       fi
     };
     {
       // LeftOverRemoval.removeAll
       isQuiet = (object == 0);
       atomic {
         if
         :: isQuiet -> skip
         :: !isQuiet && MAY_DELETE(PURGE_WORKER) -> receiveDelete()
         :: else -> goto over
         fi
       };
       atomic { receiveAbort(id) };
       atomic {
         // TransferStateRepository.releaseCleaned
         if
         :: leaseOf == PURGE_WORKER ->
            leaseOf = NOBODY;
#ifdef PURGE_KEEPS_ID
            if
            :: uploadId == id -> uploadId = 0; completing = false
            :: else -> skip
            fi;
#endif
            if
            :: isQuiet -> purge[id] = false
            :: else -> skip /* PurgeRepository.postpone: it looks again. */
            fi
         :: else -> skip
         fi;
         goto over
       };
unowned:
       isQuiet = (object == 0);
       atomic { receiveDelete() };
       atomic { receiveAbort(id) };
       // PurgeRepository.end
       purge[id] = !isQuiet;
       goto over;
beside:
       // LeftOverRemoval.discardBeside
       atomic { receiveAbort(id) };
       purge[id] = false;
over:
       skip
     } unless { isKilled[PURGE_WORKER] };
     d_step { isKilled[PURGE_WORKER] = false; isBusy[PURGE_WORKER] = false; id = 0; isQuiet = false }
  od
}

/* Of a file that was deleted for good. */
proctype Removal() {
  byte id;
  bool wasCompleting;

  end: do
  :: atomic {
       // TransferStateRepository.claimForRemoval
       isRemovalAsked && status != REMOVED && IS_UNLEASED ->
       lease(REMOVAL);
       status = FAILED;
       id = uploadId;
       wasCompleting = completing
     };
     {
       // FileRemoval.removeClaimed
       atomic { receiveDelete() };
       atomic { receiveAbort(id) };
       // ObjectCleaner.assertObjectGone
       if
       :: object == 0 ->
          atomic {
            // TransferStateRepository.remove
            if
            :: leaseOf == REMOVAL ->
               status = REMOVED;
               leaseOf = NOBODY;
#ifndef HASTY_REMOVAL
               purge[id] = (purge[id] || wasCompleting); /* The store may not be done with that Complete. */
#endif
               uploadId = 0;
               completing = false
            :: else -> skip
            fi
          }
       :: object != 0 ->
          atomic {
            // TransferStateRepository.release
            if
            :: leaseOf == REMOVAL -> leaseOf = NOBODY
            :: else -> skip
            fi
          }
       fi
     } unless { isKilled[REMOVAL] };
     d_step { isKilled[REMOVAL] = false; isBusy[REMOVAL] = false; id = 0; wasCompleting = false }
  od
}

proctype User() {
  end: do
  :: atomic {
       // StorageFileRepository.softDelete
       asks > 0 && status != REMOVED && !isDeleted -> asks--; isDeleted = true
     }
  :: atomic {
       // FileTransferService.deleteFile
       asks > 0 && status != REMOVED && !isRemovalAsked -> asks--; isDeleted = true; isRemovalAsked = true
     }
  :: atomic {
       // StorageFileRepository.restore
       asks > 0 && isDeleted && !isRemovalAsked && IS_UNLEASED -> asks--; isDeleted = false
     }
  :: atomic {
       // TransferStateRepository.reopen
       asks > 0 && status == FAILED && !isDeleted && IS_UNLEASED -> asks--; status = PENDING
     }
  :: d_step { asks > 0 -> asks = 0 } /* Nothing more. */
  od
}

#define MAY_BE_KILLED(who) faults > 0 && isBusy[who] && !isKilled[who]

inline kill(who) {
  faults--; /* The process dies. */
  isKilled[who] = true;
  if
  :: leaseOf == who -> isLeaseOut = true
  :: else -> skip
  fi
}

proctype Nature() {
  end: do
  :: atomic { MAY_BE_KILLED(1) -> kill(1) }
  :: atomic { MAY_BE_KILLED(2) -> kill(2) }
  :: atomic { MAY_BE_KILLED(PURGE_WORKER) -> kill(PURGE_WORKER) }
  :: atomic { MAY_BE_KILLED(REMOVAL) -> kill(REMOVAL) }
  :: d_step { faults > 0 && leaseOf != NOBODY && !isLeaseOut -> faults--; isLeaseOut = true } /* The lease runs out. */
  od
}

/* What is to be seen when nothing can happen any more. */
proctype End() {
  byte id;

  end: timeout;
#ifndef RULE_1_ALONE
  assert(status == DONE || status == FAILED || status == REMOVED); /* Rule 4. */
  assert(!isRemovalAsked || status == REMOVED); /* Rule 4. */
  assert(!isBusy[1] && !isBusy[2] && !isBusy[PURGE_WORKER] && !isBusy[REMOVAL]); /* Rule 4. */
  assert(status == DONE || object == 0); /* Rule 2. */
  for (id : 1 .. UPLOADS) {
    assert(!IS_LEFT(id)); /* Rule 2. */
    assert(!purge[id]) /* Rule 2. */
  }
#endif
}

init {
  byte id;

  atomic {
    for (id : 1 .. UPLOADS) { run Store(id) };
    run Worker(1);
    run Worker(2);
    run PurgeWorker();
    run Removal();
    run User();
    run Nature();
    run End()
  }
}
