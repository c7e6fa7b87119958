module github.com/acme/api

go 1.23

require (
	github.com/acme/common v1.4.0
	github.com/gin-gonic/gin v1.10.0
)
