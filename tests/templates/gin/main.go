package main

import "github.com/gin-gonic/gin"

var commit string

func main() {
	router := gin.Default()
	router.GET("/", func(c *gin.Context) { c.JSON(200, gin.H{"commit": commit}) })
	router.Run()
}
