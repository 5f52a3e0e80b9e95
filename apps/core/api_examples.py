"""Ids and a time for the examples in the API's description, so that one example leads to the next."""

A_VOICE, A_SAMPLE = "5b1d3c0e-0c63-4d5e-9a3c-0c1a8a0f5f43", 7
A_CONVERSATION, A_TURN = "0b8a6b63-8f5f-4ad5-8c9e-5a3c5b4a1a10", "c7d5b8f2-7c1e-4c53-9a55-2f1f0b6f8e21"
A_WEBHOOK, A_DELIVERY = "2f6a1a52-9a57-4b0e-8f5d-1f7f5f0c2f11", "9d0f6b52-4c4b-4f3e-8a63-3f5a2b7c8d90"
A_CONSENT, A_CHALLENGE = "8c0f7e6a-4d53-4a5b-9d2b-1b7a3a2f6c11", "f0a1d1f4-5a3e-4b52-8a6f-6d0f5f0b7c22"
A_SHARE = "e1b7c2d4-6f3a-4c58-9b0d-2a7e5f8c1d34"
AN_EXPORT = "7a1c9e52-3b6d-4f0e-a1d4-6c2b8e9f0a35"
A_TIME = "2026-03-02T08:15:30Z"
