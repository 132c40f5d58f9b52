"""The Realtime protocol over WebRTC: events on a data channel, sound on Opus tracks.

Only `peer` imports aiortc, the extra `webrtc`; everything else here works without it.
"""
