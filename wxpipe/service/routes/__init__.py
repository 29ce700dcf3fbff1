"""The addresses of the service: a file a subject; each takes words, works in a thread, and answers with a document."""
