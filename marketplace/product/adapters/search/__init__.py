"""OpenSearch and Elasticsearch, over their own clients; what they are sent is the same."""
