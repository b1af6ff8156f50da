"""The pods of the manifests as containers of runc: processes of the image, with what a pod gives them."""
