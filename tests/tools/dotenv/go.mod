module deployra-builder/tests/tools/dotenv

go 1.24

tool deployra-builder/tests/tools/dotenv

require github.com/joho/godotenv v1.5.1
