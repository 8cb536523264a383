"""The door for people in a browser: server-rendered pages, live by patches, right without script."""
