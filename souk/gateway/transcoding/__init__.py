"""HTTP and JSON to the messages of one method, and back, by the rules of google.api.http."""
