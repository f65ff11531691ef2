"""A confidential machine for a laptop: quotes that verify, under a root that proves nothing.

Read it from the bottom up:

    keys       every secret follows from one seed, so that a run can be repeated byte by byte
    pki        the certificate authorities that stand for Intel's, and their revocation lists
    platform   one processor: its PCK certificate, its quoting enclave, its patch levels
    quote      the TD report and the signed quote over it
    tcb        TCB info and QE identity: which patch levels are good
    collateral everything a verifier needs beside the quote, at any date, in any state
    events     the measured event log and the registers it extends
    machine    one confidential VM: what it booted, who it is, what its quotes say
    kms        keys released to an app, with the signatures that say so
    agent      the guest agent's methods; `pccs` is the collateral service

Nobody may trust `Pki.root_der` outside a test: whoever knows the seed can prove anything.
"""
